// philox.glsl: Philox4x32-10 (Salmon et al. 2011), equal to runtime/ops/philox.h bit for bit.
#ifndef TUFF_PHILOX_GLSL
#define TUFF_PHILOX_GLSL

#ifndef PHILOX_LOOP
#define PHILOX_LOOP // as the driver likes
#endif

uvec4 tuff_philox(uvec4 counter, uvec2 key)
{
    PHILOX_LOOP for (int round = 0; round < 10; round++) {
        uint high0, low0, high1, low1;
        umulExtended(0xD2511F53u, counter.x, high0, low0);
        umulExtended(0xCD9E8D57u, counter.z, high1, low1);
        counter = uvec4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

// The four words of elements 4*block .. 4*block + 3 of one dropout site in one step.
uvec4 tuff_dropout_words(uint block, uint site, uint step, uvec2 seed)
{
    return tuff_philox(uvec4(block, site, step, 0u), seed);
}

#endif
