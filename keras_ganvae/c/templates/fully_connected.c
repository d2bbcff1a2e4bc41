    for (int32_t c = 0; c < {{ weights[0] }}; c++) {
        {{ sum }} sum = {{ start }};
        for (int32_t k = 0; k < {{ weights[1] }}; k++) {
            sum += {{ term("k") }} * weights_{{ number }}[c][k];
        }
        y[c] = {{ finish }};
    }
