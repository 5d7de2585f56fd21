uniform vec4 col;
in float A;
out vec4 o;
void main() { o = vec4(col.rgb, col.a * A); }
