// Strands: Kajiya-Kay diffuse with two shifted highlights, both tinted by the hair.
uniform vec3 eye, hairc, hairc2;
uniform float shine, ambk, mask;
uniform float rope; // bumps along a rope of hair; 0: single hairs
in vec3 wp, T, HN, f;
float lobe(vec3 t, vec3 h, float power) {
    float th = dot(t, h);
    return pow(sqrt(max(0.0, 1.0 - th * th)), power);
}
vec4 shaded() {
    vec3 t = normalize(T), v = normalize(eye - wp), n = normalize(HN);
    vec3 alb = mix(hairc, hairc2, clamp(f.y * 0.7 + 0.25 * f.x, 0.0, 1.0)) * (0.72 + 0.5 * f.y);
    alb *= mix(0.42, 1.0, smoothstep(0.0, 0.35, f.x));
    if (rope > 0.0) {
        // Round across, and plaited: each bump is V-shaped and hides the start of the next.
        float turn = fract(f.x * rope + 5.0 * f.y + 0.3 * abs(f.z));
        n = normalize(n + 0.9 * f.z * normalize(cross(t, v)) + 0.5 * (turn - 0.4) * t);
        alb = (1.25 * alb + 0.006) * mix(0.4, 1.1, smoothstep(0.0, 0.3, turn)) * (1.05 - 0.8 * f.z * f.z);
    }
    float sh = shadow_fast(wp, 0.008), tl = dot(t, Lk);
    float kd = sqrt(max(0.0, 1.0 - tl * tl)), nl = clamp(dot(n, Lk) * 0.65 + 0.35, 0.0, 1.0);
    vec3 c = alb * Ck * mix(kd * nl, nl, 0.4) * mix(0.25, 1.0, sh) * 1.1;
    c += alb * (Cf * clamp(dot(n, Lf) * 0.5 + 0.5, 0.0, 1.0) + mix(Cg, Ca, n.y * 0.5 + 0.5)) * ambk;
    // Dark pigment swallows the light: highlights scale with the hair's own lightness and take its colour.
    float lum = dot(alb, vec3(0.3, 0.6, 0.1));
    vec3 tint = mix(alb / max(lum, 0.004), vec3(1.0), 0.35) * (0.035 + 0.75 * lum / (lum + 0.12));
    vec3 h = normalize(Lk + v);
    float s1 = lobe(normalize(t + n * (0.12 + 0.5 * (f.y - 0.5))), h, 70.0) * mix(1.0, 0.25, smoothstep(0.25, 0.7, f.x));
    float s2 = lobe(normalize(t - n * 0.2), h, 18.0);
    c += Ck * sh * smoothstep(-0.1, 0.5, dot(n, Lk)) * shine * (s1 * 0.26 * tint + s2 * 0.6 * alb);
    c += Cf * shine * lobe(t, normalize(Lf + v), 30.0) * 0.07 * tint;
    c += Cr * alb * 1.25 * pow(1.0 - abs(dot(n, v)), 2.0) * clamp(dot(n, Lr) * 0.6 + 0.4, 0.0, 1.0);
    return vec4(tone(c), mask);
}
