// Key, fill and rim lights, a sky-ground ambient, one shadow map, tone curve and noise.
uniform sampler2DShadow sm;
uniform mat4 SM;
uniform vec3 Lk, Lf, Lr;
uniform vec3 Ck, Cf, Cr, Ca, Cg;
const float SHADOW_TEXEL = 1.0 / 384.0;
float shadow(vec3 wp, float bias) {
    vec3 s = (SM * vec4(wp, 1.0)).xyz * 0.5 + 0.5;
    vec2 e = vec2(1.1, -1.1) * SHADOW_TEXEL;
    float z = s.z - bias;
    return 0.25 * (texture(sm, vec3(s.xy + e.xx, z)) + texture(sm, vec3(s.xy + e.xy, z))
                 + texture(sm, vec3(s.xy + e.yx, z)) + texture(sm, vec3(s.xy + e.yy, z)));
}
// One tap, for hair: its own pattern hides the coarser edge.
float shadow_fast(vec3 wp, float bias) {
    vec3 s = (SM * vec4(wp, 1.0)).xyz * 0.5 + 0.5;
    return texture(sm, vec3(s.xy, s.z - bias));
}
// Filmic shoulder (a fit of the ACES curve), then gamma.
vec3 tone(vec3 c) {
    c = c * (1.506 * c + 0.03) / (c * (1.458 * c + 0.59) + 0.14) * 1.14;
    return pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2));
}
float hash(vec3 p) {
    p = fract(p * 0.3183099 + 0.1) * 17.0;
    return fract(p.x * p.y * p.z * (p.x + p.y + p.z));
}
float noise(vec3 x) {
    vec3 i = floor(x), f = fract(x);
    f = f * f * (3.0 - 2.0 * f);
    return mix(mix(mix(hash(i), hash(i + vec3(1, 0, 0)), f.x),
                   mix(hash(i + vec3(0, 1, 0)), hash(i + vec3(1, 1, 0)), f.x), f.y),
               mix(mix(hash(i + vec3(0, 0, 1)), hash(i + vec3(1, 0, 1)), f.x),
                   mix(hash(i + vec3(0, 1, 1)), hash(i + vec3(1, 1, 1)), f.x), f.y), f.z);
}
