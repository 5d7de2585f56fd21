// Skin, mouth, teeth, torso and glasses.
#include pose
#include collar
uniform float push;
in vec3 p;   // deformed position
in vec3 n;   // its normal
in float fw; // furrow depth
in vec3 p0;  // rest position
in vec4 m0, m1, m2;
out vec3 wp, N, q;
out vec4 a0, a1, a2;
out float fur;
void main() {
    wp = pose(p + n * push * smoothstep(-0.25, 0.5, collar(p0) - p0.y), m2.x);
    N = mix(n, HR * n, m2.x);
    q = p0;
    a0 = m0;
    a1 = m1;
    a2 = m2;
    fur = fw;
    gl_Position = VP * vec4(wp, 1.0);
}
