#include lighting
#include hair_shading
out vec4 o;
void main() { o = shaded(); }
