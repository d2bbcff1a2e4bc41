    for (int32_t i = 0; i < {{ size }}; i++) {
        const float v = x[i];
        y[i] = {{ value }};
    }
