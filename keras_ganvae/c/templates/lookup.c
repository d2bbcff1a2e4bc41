    for (int32_t i = 0; i < {{ size }}; i++) {
        y[i] = table_{{ number }}[x[i] + 128];
    }
