// hidden[i] = table[tokens[i]], and y[i] = x[rows[i]]: rows of bfloat16 copied by an index.
// Bytes: read and write rows x width x 2. One block a row, sixteen bytes a thread and turn.
#include "sluice.cuh"

DEVICE void copy_row(const bf16* from, bf16* to, int width)
{
    for (int i = threadIdx.x * 8; i < width; i += blockDim.x * 8)
        store16(to + i, load16(from + i));
}

// grid: rows
KERNEL embed(Step step, const bf16* table, bf16* hidden, int hidden_stride, int width)
{
    dependency_wait();
    dependents_launch();
    int row = blockIdx.x;
    copy_row(table + (i64)step.tokens[row] * width, hidden + (i64)row * hidden_stride, width);
}

// grid: logit rows
KERNEL gather_logit_rows(Step step, const bf16* x, int x_stride, bf16* y, int y_stride, int width)
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
