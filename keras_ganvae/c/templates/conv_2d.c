    for (int32_t row = 0; row < {{ y[1] }}; row++) {
        for (int32_t column = 0; column < {{ y[2] }}; column++) {
            for (int32_t c = 0; c < {{ y[3] }}; c++) {
                {{ sum }} sum = {{ start }};
                for (int32_t i = 0; i < {{ weights[1] }}; i++) {
                    const int32_t v = row * {{ strides[0] }} + i - {{ padding[0] }};
                    if (v < 0 || v >= {{ x[1] }}) {
                        continue;
                    }
                    for (int32_t j = 0; j < {{ weights[2] }}; j++) {
                        const int32_t u = column * {{ strides[1] }} + j - {{ padding[1] }};
                        if (u < 0 || u >= {{ x[2] }}) {
                            continue;
                        }
                        for (int32_t k = 0; k < {{ x[3] }}; k++) {
                            sum += {{ term("(v * %d + u) * %d + k" % (x[2], x[3])) }}
                                * weights_{{ number }}[c][i][j][k];
                        }
                    }
                }
                y[(row * {{ y[2] }} + column) * {{ y[3] }} + c] =
                    {{ finish }};
            }
        }
    }
