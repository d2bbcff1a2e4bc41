    for (int32_t row = 0; row < {{ y[1] }}; row++) {
        for (int32_t column = 0; column < {{ y[2] }}; column++) {
            for (int32_t c = 0; c < {{ y[3] }}; c++) {
                const int32_t from = row / {{ block }} * {{ x[2] }} + column / {{ block }};
                const int32_t part = row % {{ block }} * {{ block }} + column % {{ block }};
                y[(row * {{ y[2] }} + column) * {{ y[3] }} + c] = x[from * {{ x[3] }} + part * {{ y[3] }} + c];
            }
        }
    }
