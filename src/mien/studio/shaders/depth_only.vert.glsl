// Positions only, in light or bake space.
uniform mat4 M;
in vec3 p;
void main() { gl_Position = M * vec4(p, 1.0); }
