#include pose
in vec3 p;
void main() { gl_Position = VP * vec4(pose(p, head_weight(p.y)), 1.0); }
