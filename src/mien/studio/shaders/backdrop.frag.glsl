uniform vec3 inner, outer;
uniform vec2 middle;
in vec2 u;
out vec4 o;
void main() { o = vec4(pow(mix(inner, outer, smoothstep(0.0, 1.0, length(u - middle) * 0.55)), vec3(1.0 / 2.2)), 0.0); }
