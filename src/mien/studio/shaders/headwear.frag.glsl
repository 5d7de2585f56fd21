// Cloth of headwear, woven, knitted or felt. Alpha 0: no face here.
#include lighting
uniform vec3 eye, cloth, cloth2;
uniform int weave;   // 0 woven, 1 knitted, 2 felt
uniform int pattern; // 0 plain, 1 striped, 2 dotted
in vec3 wp, N, q;
in vec4 w;
out vec4 o;
void main() {
    vec3 n = normalize(N), v = normalize(eye - wp);
    n = normalize(n - v * min(1.02 * dot(n, v), 0.0)); // the inside is seen at grazing angles only
    float second = w.z, light = w.w;
    if (pattern == 1) second = max(second, step(0.55, fract(w.y * (weave == 1 ? 0.22 : 0.38))));
    if (pattern == 2) {
        vec2 cell = fract(q.xy * 0.55 + 0.5 * vec2(step(0.5, fract(q.y * 0.275)), 0.0)) - 0.5;
        second = max(second, step(length(cell), 0.21));
    }
    float soft = noise(q * 1.1), fine = noise(q * 5.0);
    vec3 alb = mix(cloth, cloth2, second) * mix(0.9, 1.08, soft) * mix(0.95, 1.05, fine);
    if (weave == 1) { // ribs
        float rib = abs(fract(w.x * 1.1) - 0.5) * 2.0;
        alb *= mix(0.62, 1.08, smoothstep(0.0, 0.55, rib)) * mix(0.88, 1.08, noise(vec3(w.x * 5.0, w.y * 4.0, 1.0)));
    }
    float sh = shadow(wp + 0.4 * n, 0.006), nl = dot(n, Lk), facing = clamp(dot(n, v), 0.0, 1.0);
    vec3 c = alb * Ck * clamp((nl + 0.15) / 1.15, 0.0, 1.0) * mix(0.08, 1.0, sh) * mix(0.7, 1.0, light);
    c += alb * Cf * clamp(dot(n, Lf) * 0.6 + 0.4, 0.0, 1.0) * light;
    c += alb * mix(Cg, Ca, n.y * 0.5 + 0.5) * light;
    float sheen = weave == 0 ? 0.10 : 0.03;
    c += Ck * sh * sheen * pow(max(dot(n, normalize(Lk + v)), 0.0), 14.0) * (0.3 + alb);
    c += (Cr * clamp(dot(n, Lr) * 0.6 + 0.4, 0.0, 1.0) + 0.4 * Ca) * alb * pow(1.0 - facing, 2.5) * light;
    o = vec4(tone(c), 0.0);
}
