// Skin, mouth, teeth, cloth and glasses; alpha carries the face mask.
#include lighting
#include collar
uniform vec3 eye;
uniform int part;             // 0 skin, 1 mouth, 2 gums and tongue, 3 teeth, 4 cloth, 5 glasses
uniform vec3 skin, lipc, hairc, cloth, cloth2, eyesh;
uniform vec4 look;            // blush, stubble, freckles, scalp colour under hair
uniform vec4 look2;           // lip gloss, eyeshadow, roughness, masculine jaw tint
uniform vec3 look3;           // flush, age 0..1, skin tone 0..1
uniform vec2 hairline;        // shift, recession
uniform int pattern;
uniform float trim;
in vec3 wp, N, q;
in vec4 a0, a1, a2;           // (lip, blush, beard, scalp) (light, red, eyelid, nostril) (weight, face, forehead, -)
in float fur;
out vec4 o;

void main() {
    vec3 n = normalize(N), v = normalize(eye - wp);
    int kind = part;
    if (dot(n, v) < 0.0 && kind != 0) n = -n;
    float ao = a1.x, below = collar(q) - q.y, mask = 0.0;
    if (kind == 0 && q.y < -6.0 && below > 0.0) kind = 4;
    else if (kind == 4 && below < 0.12) discard;
    vec3 alb;
    float spec = 0.3, gloss = 20.0, sss = 1.0;
    if (kind == 0) {
        float pale = 1.0 - look3.z;
        float n1 = noise(q * 0.9), n2 = noise(q * 2.7), n3 = noise(q * 8.5);
        alb = skin * mix(0.94, 1.06, 0.55 * n1 + 0.45 * n2) * mix(0.95, 1.05, n3 * (0.5 + look2.z));
        // Blood shows in patches, forehead and temples are yellower, the shaved jaw is cooler.
        vec3 bloody = mix(vec3(1.10, 0.84, 0.82), vec3(1.08, 0.76, 0.74), pale);
        alb *= mix(vec3(1.0), mix(vec3(1.0), bloody, 0.5), (n2 - 0.35) * pale * 0.8);
        alb *= mix(vec3(1.0), vec3(1.01, 0.985, 0.90), 0.55 * a2.z);
        float warm = a0.y * (look.x * 1.1 + look3.x * 1.6) * (0.7 + 0.6 * n2);
        warm += a1.y * (0.35 + look.x * 0.55 + look3.x * 1.5);
        alb *= mix(vec3(1.0), bloody, clamp(warm, 0.0, 1.7));
        alb *= mix(vec3(1.0), vec3(0.90, 0.93, 0.97), look2.w * a0.z * 0.6);
        alb *= mix(vec3(1.0), vec3(0.86, 0.78, 0.80), a1.z * (0.36 + 0.25 * look3.y));
        alb = mix(alb, alb * eyesh, a1.z * look2.y * smoothstep(3.6, 4.3, q.y));
        if (look.z > 0.0) {
            float dots = smoothstep(0.66, 0.78, noise(q * 4.6)) * smoothstep(4.4, 0.0, abs(q.y - 1.2));
            alb *= mix(vec3(1.0), vec3(0.74, 0.58, 0.48), dots * smoothstep(6.5, 2.0, abs(q.x)) * look.z);
        }
        if (look3.y > 0.4) {
            float spots = smoothstep(0.74, 0.82, noise(q * 1.9 + 3.0)) * (look3.y - 0.4);
            alb *= mix(vec3(1.0), vec3(0.80, 0.68, 0.58), spots);
        }
        float late = clamp(look3.y * 2.4 - 1.4, 0.0, 1.0); // from about 55 years on
        if (late > 0.0) {
            // Duller, blotchy, with brown spots at temples and cheeks, and dark below the eyes.
            alb = mix(alb, vec3(dot(alb, vec3(0.3, 0.6, 0.1))) * vec3(1.06, 1.0, 0.95), 0.16 * late);
            alb *= mix(1.0, mix(0.86, 1.08, noise(q * 1.3 + 7.0)), 0.8 * late);
            float brown = smoothstep(0.70, 0.78, noise(q * 1.25 + 11.0)) * smoothstep(2.2, 4.5, abs(q.x));
            alb *= mix(vec3(1.0), vec3(0.80, 0.68, 0.59), brown * late);
            alb *= mix(vec3(1.0), vec3(0.84, 0.78, 0.82), a1.z * late * smoothstep(3.4, 2.6, q.y));
        }
        float st = a0.z * look.y;
        if (st > 0.0) alb = mix(alb, mix(alb * 0.5, hairc * 0.7, 0.5), st * (0.5 + 0.35 * noise(q * 9.0)));
        float l = smoothstep(-0.12, 0.18, a0.x);
        if (l > 0.0) alb = mix(alb, lipc * mix(0.9, 1.06, noise(q * vec3(6.0, 1.5, 1.5))), 0.85 * l);
        // Grooves are dark and red, rims catch a little light.
        float f = fur * (1.0 - 0.8 * l);
        alb *= mix(vec3(1.0), vec3(0.60, 0.45, 0.42), clamp(f, 0.0, 1.0) * 0.62);
        ao *= 1.0 - 0.3 * clamp(f, 0.0, 1.0);
        spec = mix(spec * mix(1.1, 0.75, look2.z) * (0.6 + 0.8 * n3), 0.7 * look2.x, l);
        gloss = mix(gloss, 44.0, l);
        if (look.w > 0.0 && a0.w > hairline.x - 0.7) {
            float edge = a0.w + (noise(q * 3.0) - 0.5) * 0.7
                       - hairline.y * smoothstep(2.0, 5.0, abs(q.x)) * smoothstep(4.0, 7.0, q.z);
            float scalp = smoothstep(hairline.x - 0.35, hairline.x + 0.5, edge) * look.w;
            alb = mix(alb, hairc * 0.55, scalp);
            spec *= 1.0 - 0.8 * scalp;
        }
        alb *= 1.0 - 0.75 * a1.w;
        spec *= 1.0 - a1.w;
        mask = step(0.5, a2.y);
    } else if (kind == 1) {
        alb = vec3(0.30, 0.055, 0.05) * smoothstep(0.0, 0.6, ao);
        spec = 0.2;
        ao *= ao;
        mask = 1.0;
    } else if (kind == 2) {
        alb = mix(vec3(0.50, 0.13, 0.12), vec3(0.55, 0.16, 0.15), noise(q * 3.0));
        ao *= ao * 1.15;
        spec = 0.5;
        gloss = 40.0;
        mask = 1.0;
    } else if (kind == 3) {
        alb = vec3(0.78, 0.72, 0.62) * (1.0 - 0.8 * smoothstep(1.1, 2.1, abs(q.x))); // no fangs in the corners
        ao = min(1.0, 0.12 + pow(ao, 1.1) * 1.2);
        spec = 0.55;
        gloss = 60.0;
        sss = 0.4;
        mask = 1.0;
    } else if (kind == 5) {
        alb = hairc;
        spec = 1.0;
        gloss = 60.0;
        sss = 0.5;
        ao = 1.0;
        mask = 1.0; // drawn blended: opaque, and leaves the face mask as it is
    } else {
        float second = 0.0;
        if (pattern == 1) second = step(0.5, fract(q.y * 0.28));
        else if (pattern == 2) second = step(0.72, max(fract(q.x * 0.25), fract(q.y * 0.25)));
        alb = mix(cloth, cloth2, second) * (0.9 + 0.2 * noise(q * 2.5));
        spec = 0.05;
        gloss = 8.0;
        sss = 0.5;
        if (part == 0) alb *= mix(0.6, 1.0, smoothstep(0.0, 0.35, below));
        alb = mix(alb, mix(cloth, cloth2, 0.6), (1.0 - smoothstep(0.40, 0.45, below)) * trim);
        ao = mix(1.0, ao, 0.5);
    }
    float sh = shadow(wp, 0.004);
    // Occluded skin goes red before it goes dark.
    vec3 occ = pow(vec3(clamp(ao, 0.0, 1.0)), mix(vec3(1.0), vec3(0.72, 1.0, 1.08), sss));
    float nl = dot(n, Lk), facing = clamp(dot(n, v), 0.0, 1.0);
    // Wrapped diffuse light, wider for red: light that has travelled under the skin.
    vec3 wrap = vec3(0.42, 0.19, 0.13) * sss;
    vec3 dif = clamp((vec3(nl) + wrap) / (1.0 + wrap), 0.0, 1.0);
    dif *= dif * 0.3 + 0.7;
    vec3 shade = mix(vec3(0.10, 0.03, 0.02) * sss * smoothstep(-0.2, 0.4, nl), vec3(1.0), vec3(sh));
    vec3 c = alb * Ck * dif * shade * mix(vec3(1.0), occ, 0.5);
    c += alb * Cf * clamp(dot(n, Lf) * 0.6 + 0.4, 0.0, 1.0) * occ;
    c += alb * mix(Cg, Ca, n.y * 0.5 + 0.5) * occ;
    vec3 h = normalize(Lk + v);
    float nh = max(dot(n, h), 0.0), s1 = pow(nh, gloss) * 0.34 + pow(nh, gloss * 0.3) * 0.11;
    vec3 shine = mix(vec3(1.0), alb * 1.4 + 0.25, 0.4 * sss);
    c += Ck * shine * spec * s1 * sh * step(0.0, nl + 0.2) * occ.g;
    h = normalize(Lf + v);
    c += Cf * shine * spec * pow(max(dot(n, h), 0.0), gloss * 0.6) * 0.2 * occ.g;
    c += Cr * (alb * 0.7 + 0.12 * spec) * pow(1.0 - facing, 2.2) * clamp(dot(n, Lr) * 0.7 + 0.35, 0.0, 1.0) * occ.g;
    c += Ca * spec * pow(1.0 - facing, 4.0) * 0.45 * occ.g;
    o = vec4(tone(c), mask);
}
