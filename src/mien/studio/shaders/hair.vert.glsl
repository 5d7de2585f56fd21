// Ribbons that turn to the viewer (or, for the shadow map, to the light).
#include pose
uniform vec3 toward;   // direction the ribbons face in the shadow map
uniform int to_light;  // 1 in the shadow map
uniform float rigid;   // 1: follows the head fully
in vec3 p, t;
in vec4 s;             // side, along, width, chance
in vec3 hn;
out vec3 wp, T, HN, f;
void main() {
    float w = mix(head_weight(p.y), 1.0, rigid);
    vec3 P = pose(p, w);
    T = normalize(mix(t, HR * t, w));
    vec3 across = normalize(cross(T, to_light == 1 ? toward : normalize(eye - P)));
    wp = P + across * s.x * s.z;
    HN = normalize(mix(hn, HR * hn, w) + across * s.x * 0.35);
    f = vec3(s.y, s.w, s.x);
    gl_Position = VP * vec4(wp, 1.0);
}
