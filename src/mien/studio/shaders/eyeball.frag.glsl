#include lighting
uniform vec3 eye, iris, iris2;
uniform float ir, pr, lid; // radii of iris and pupil (radians), height of the upper lid
uniform mat3 HRi;
in vec3 wp, D, N, C;
out vec4 o;
void main() {
    vec3 d = normalize(D), v = normalize(eye - wp);
    float r = acos(clamp(d.z, -1.0, 1.0)), a = atan(d.y, d.x);
    vec3 white = mix(vec3(0.84, 0.82, 0.80), vec3(0.75, 0.50, 0.46), 0.22 * smoothstep(0.55, 1.1, r));
    float fibres = noise(vec3(cos(a) * 9.0, sin(a) * 9.0, r * 7.0)) * 0.6
                 + noise(vec3(cos(a) * 22.0, sin(a) * 22.0, r * 3.0)) * 0.4;
    float t = clamp((r - pr) / (ir - pr), 0.0, 1.0);
    vec3 ic = mix(iris2, iris, smoothstep(0.0, 0.75, t)) * (0.65 + 0.7 * fibres);
    ic *= 1.0 + 0.7 * clamp(-d.y * 2.2 + 0.1, 0.0, 1.0) * (1.0 - t * 0.3);
    ic *= (1.0 - 0.75 * smoothstep(0.72, 1.0, t)) * smoothstep(pr - 0.02, pr + 0.035, r);
    ic = mix(vec3(0.004), ic, smoothstep(pr - 0.03, pr + 0.02, r));
    vec3 alb = mix(white, ic, smoothstep(ir + 0.035, ir - 0.035, r));
    vec3 n = normalize(C), nc = normalize(N);
    float sh = mix(0.45, 1.0, shadow(wp, 0.006));
    // Lids darken the rim of the opening.
    vec3 local = HRi * n;
    float occ = (smoothstep(0.62, 0.0, local.y - lid) * 0.7 + 0.3) * (smoothstep(1.1, 0.6, abs(local.x)) * 0.35 + 0.65);
    vec3 c = alb * (Ck * clamp(dot(n, Lk) * 0.6 + 0.4, 0.0, 1.0) * sh * 0.85
                  + Cf * 0.6 * clamp(dot(n, Lf) * 0.5 + 0.5, 0.0, 1.0) + mix(Cg, Ca, n.y * 0.5 + 0.5) * 0.9) * occ;
    float nh = max(dot(nc, normalize(Lk + v)), 0.0);
    c += Ck * (pow(nh, 420.0) * 2.7 + pow(nh, 90.0) * 0.22) * mix(0.5, 1.0, sh);
    c += Cf * pow(max(dot(nc, normalize(Lf + v)), 0.0), 220.0) * 0.6;
    c += Ca * 0.05 * pow(1.0 - max(dot(n, v), 0.0), 3.0);
    o = vec4(tone(c), 1.0);
}
