// Thin translucent layers: lashes, the shade under the lids, lenses.
#include pose
in vec3 p;
in float a;
out float A;
void main() {
    A = a;
    gl_Position = VP * vec4(pose(p, 1.0), 1.0);
    gl_Position.z -= 0.002 * gl_Position.w;
}
