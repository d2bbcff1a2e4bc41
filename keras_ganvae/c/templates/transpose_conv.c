    for (int32_t row = 0; row < {{ y[1] }}; row++) {
        for (int32_t column = 0; column < {{ y[2] }}; column++) {
            for (int32_t c = 0; c < {{ y[3] }}; c++) {
                {{ sum }} sum = {{ start }};
                for (int32_t i = 0; i < {{ weights[1] }}; i++) {
                    /* The rows v whose weight i falls on this row. */
                    const int32_t v = row + {{ padding[0] }} - i;
                    if (v < 0 || v % {{ strides[0] }} != 0 || v / {{ strides[0] }} >= {{ x[1] }}) {
                        continue;
                    }
                    for (int32_t j = 0; j < {{ weights[2] }}; j++) {
                        const int32_t u = column + {{ padding[1] }} - j;
                        if (u < 0 || u % {{ strides[1] }} != 0 || u / {{ strides[1] }} >= {{ x[2] }}) {
                            continue;
                        }
                        for (int32_t k = 0; k < {{ x[3] }}; k++) {
                            sum += {{ term("(v / %d * %d + u / %d) * %d + k" % (strides[0], x[2], strides[1], x[3])) }}
                                * weights_{{ number }}[c][i][j][k];
                        }
                    }
                }
                y[(row * {{ y[2] }} + column) * {{ y[3] }} + c] =
                    {{ finish }};
            }
        }
    }
