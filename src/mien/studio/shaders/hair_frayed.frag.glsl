// Long hair: a ribbon stands for a few hairs, which part towards their ends and end at lengths of their own.
#include lighting
#include hair_shading
out vec4 o;
void main() {
    float place = (f.z * 0.5 + 0.5) * 4.0, end = 0.80 + 0.2 * hash(vec3(floor(place), f.y * 91.0, 3.7));
    float parted = smoothstep(0.4, end, f.x);
    if (f.x > end || abs(fract(place) - 0.5) > 0.5 - 0.36 * parted * parted) discard;
    o = shaded();
}
