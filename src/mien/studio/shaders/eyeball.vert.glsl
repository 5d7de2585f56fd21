#include pose
uniform mat3 GR;  // gaze, with a mirror for the right eye
uniform vec3 ec;  // centre
uniform float es; // size
in vec3 p, d, n;
out vec3 wp, D, N, C;
void main() {
    wp = pose(GR * (p * es) + ec, 1.0);
    D = normalize(d);
    N = HR * GR * n;
    C = HR * GR * normalize(d);
    gl_Position = VP * vec4(wp, 1.0);
}
