// Height of the collar above each point of the rest pose; colr = base y, drop in front, depth and half width of a V.
uniform vec4 colr;
float collar(vec3 q) {
    float front = smoothstep(-2.0, 3.0, q.z), back = smoothstep(-1.0, -5.0, q.z);
    return colr.x + 0.9 * back - front * colr.y - front * colr.z * clamp(1.0 - abs(q.x) / colr.w, 0.0, 1.0);
}
