// Head rotation about the neck; w is how much a point follows it.
uniform mat4 VP;
uniform mat3 HR;
uniform vec3 pivot;
uniform vec3 eye;
float head_weight(float y) { return smoothstep(-15.0, -8.0, y); }
vec3 pose(vec3 p, float w) { return mix(p, HR * (p - pivot) + pivot, w); }
