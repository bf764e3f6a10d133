// hidden[i] = table[tokens[i]], and y[i] = x[rows[i]]: rows copied by an index, the table's bfloat16 becoming the residual stream's type.
// Bytes: read and write rows x width x 2, or 4 of float32. One block a row, eight numbers a thread and turn. Macros: FLOAT_HIDDEN, for hidden, x and y.
#include "sluice.cuh"

#ifndef FLOAT_HIDDEN
#define FLOAT_HIDDEN 1
#endif
#if FLOAT_HIDDEN
typedef float hidden_t;
#else
typedef bf16 hidden_t;
#endif

template <class From, class To>
DEVICE void copy_row(const From* from, To* to, int width)
{
    for (int i = threadIdx.x * 8; i < width; i += blockDim.x * 8)
    {
        float values[8];
        load_eight(values, from + i);
        store_eight(to + i, values);
    }
}

// grid: rows
KERNEL embed(Step step, const bf16* table, hidden_t* hidden, int hidden_stride, int width)
{
    dependency_wait();
    dependents_launch();
    int row = blockIdx.x;
    copy_row(table + (i64)step.tokens[row] * width, hidden + (i64)row * hidden_stride, width);
}

// grid: logit rows
KERNEL gather_logit_rows(Step step, const hidden_t* x, int x_stride, hidden_t* y, int y_stride, int width)
{
    dependency_wait();
    dependents_launch();
    int row = blockIdx.x;
    copy_row(x + (i64)step.logit_rows[row] * x_stride, y + (i64)row * y_stride, width);
}

// A step's new places of state slots: updates is [count][1 + per_slot], the slot and its superblocks. grid: count
KERNEL map_slots(const int* updates, int per_slot, int* slots)
{
    dependency_wait();
    const int* update = updates + (i64)blockIdx.x * (1 + per_slot);
    for (int i = threadIdx.x; i < per_slot; i += blockDim.x)
        slots[update[0] * per_slot + i] = update[1 + i];
}
