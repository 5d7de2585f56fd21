in vec2 p;
out vec2 u;
void main() {
    u = p;
    gl_Position = vec4(p, 0.9999, 1.0);
}
