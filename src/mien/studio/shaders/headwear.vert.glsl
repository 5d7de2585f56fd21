// Scarves and hats: sheets that follow the head above the shoulders.
#include pose
in vec3 p, n;
in vec4 s; // along and across the weave, zone, light
out vec3 wp, N, q;
out vec4 w;
void main() {
    float follow = head_weight(p.y);
    wp = pose(p, follow);
    N = mix(n, HR * n, follow);
    q = p;
    w = s;
    gl_Position = VP * vec4(wp, 1.0);
}
