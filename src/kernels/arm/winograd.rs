//! Winograd's transforms of a register of channels: see [`winograd`](crate::kernels::winograd) for the
//! formulas, whose operations these are, in the same order.
//!
//! ```text
//!     columns of the tile   ──▶  36 (of an output: 24) registers on the stack  ──▶  rows, stored
//! ```

use super::Neon;
use crate::kernels::map::WINOGRAD_TILE;
use crate::kernels::simd::Simd;
use crate::kernels::winograd::{self, InputJob, OutputTile};

unsafe extern "C" {
    fn patchcore_neon_transform_input(job: *const InputJob, registers: usize);
    /// The tile has all its columns.
    fn patchcore_neon_transform_output(tile: *const OutputTile);
}

/// # Safety
/// As [`Simd::transform_input`].
#[inline(always)]
pub(super) unsafe fn transform_input(job: &InputJob) {
    let registers = job.channels / Neon::LANES;
    if registers > 0 {
        // SAFETY: as the function's contract says.
        unsafe { patchcore_neon_transform_input(job, registers) }
    }
}

/// # Safety
/// As [`Simd::transform_output`].
#[inline(always)]
pub(super) unsafe fn transform_output(tile: &OutputTile) {
    // SAFETY: as the function's contract says.
    unsafe {
        match tile.columns {
            WINOGRAD_TILE => patchcore_neon_transform_output(tile),
            _ => winograd::transform_output::<Neon>(tile),
        }
    }
}

/// `B^T d` of q8 to q13; the points are in q12, q8, q9, q10, q11, q13. q0 holds 4, 2, -5, -4.
macro_rules! input_points {
    () => {
        "
        vmov q1, q12
        vmla.f32 q1, q10, d1[1]
        vmov q2, q11
        vmla.f32 q2, q9, d1[1]
        vsub.f32 q3, q12, q10
        vsub.f32 q14, q11, q9
        vmul.f32 q14, q14, d0[1]
        vmla.f32 q12, q10, d1[0]
        vmla.f32 q12, q8, d0[0]
        vmla.f32 q13, q11, d1[0]
        vmla.f32 q13, q9, d0[0]
        vadd.f32 q8, q1, q2
        vsub.f32 q9, q1, q2
        vadd.f32 q10, q3, q14
        vsub.f32 q11, q3, q14
        "
    };
}

/// Six registers from r2 on, r3 bytes apart, to q8 to q13.
macro_rules! load_six {
    () => {
        "
        vld1.32 {d16-d17}, [r2], r3
        vld1.32 {d18-d19}, [r2], r3
        vld1.32 {d20-d21}, [r2], r3
        vld1.32 {d22-d23}, [r2], r3
        vld1.32 {d24-d25}, [r2], r3
        vld1.32 {d26-d27}, [r2]
        "
    };
}

// r0 job, r1 registers. r4 source, r5 row stride, r6 pixel stride, r7 out, r8 register stride, r9 point
// stride, in bytes.
super::define_function!(
    "patchcore_neon_transform_input",
    "push {r4-r11}",
    "sub sp, sp, #576",
    "ldm r0, {r4-r9}",
    "lsl r5, r5, #2",
    "lsl r6, r6, #2",
    "lsl r8, r8, #2",
    "lsl r9, r9, #2",
    "vmov.f32 s0, #4.0",
    "vmov.f32 s1, #2.0",
    "vmov.f32 s2, #-5.0",
    "vmov.f32 s3, #-4.0",
    "1:",
    // Columns.
    "mov r10, r4",
    "mov r12, sp",
    "mov r11, #6",
    "mov r3, r5",
    "2:",
    "mov r2, r10",
    "add r10, r10, r6",
    load_six!(),
    input_points!(),
    "vst1.32 {d24-d25}, [r12]!",
    "vst1.32 {d16-d19}, [r12]!",
    "vst1.32 {d20-d23}, [r12]!",
    "vst1.32 {d26-d27}, [r12]!",
    "subs r11, r11, #1",
    "bne 2b",
    // Rows.
    "mov r10, sp",
    "mov r12, r7",
    "mov r11, #6",
    "mov r3, #96",
    "3:",
    "mov r2, r10",
    "add r10, r10, #16",
    load_six!(),
    input_points!(),
    "vst1.32 {d24-d25}, [r12], r9",
    "vst1.32 {d16-d17}, [r12], r9",
    "vst1.32 {d18-d19}, [r12], r9",
    "vst1.32 {d20-d21}, [r12], r9",
    "vst1.32 {d22-d23}, [r12], r9",
    "vst1.32 {d26-d27}, [r12], r9",
    "subs r11, r11, #1",
    "bne 3b",
    "add r4, r4, #16",
    "add r7, r7, r8",
    "subs r1, r1, #1",
    "bne 1b",
    "add sp, sp, #576",
    "pop {r4-r11}",
    "bx lr",
);

/// `A^T m` of q8 to q13, to q8 to q11. q0 holds 4, 2, 8.
macro_rules! output_points {
    () => {
        "
        vadd.f32 q1, q9, q10
        vsub.f32 q2, q9, q10
        vadd.f32 q3, q11, q12
        vsub.f32 q14, q11, q12
        vadd.f32 q8, q8, q1
        vadd.f32 q8, q8, q3
        vmov q9, q2
        vmla.f32 q9, q14, d0[1]
        vmov q10, q1
        vmla.f32 q10, q3, d0[0]
        vmov q11, q2
        vmla.f32 q11, q14, d1[0]
        vadd.f32 q11, q11, q13
        "
    };
}

// r0 tile. r4 sums, r5 point stride, r6 bias, r7 residual, r8 relu, r9 out, r10 row stride, r11 pixel stride,
// in bytes; r1 rows.
super::define_function!(
    "patchcore_neon_transform_output",
    "push {r4-r11}",
    "sub sp, sp, #384",
    "ldm r0!, {r4-r11}",
    "ldr r1, [r0]",
    "lsl r5, r5, #2",
    "lsl r10, r10, #2",
    "lsl r11, r11, #2",
    "and r8, r8, #255",
    "vmov.f32 s0, #4.0",
    "vmov.f32 s1, #2.0",
    "vmov.f32 s2, #8.0",
    // Columns.
    "add r3, r5, r5, lsl #1",
    "lsl r3, r3, #1",
    "mov r12, sp",
    "mov r0, #6",
    "1:",
    "mov r2, r4",
    "add r4, r4, r5",
    load_six!(),
    output_points!(),
    "vst1.32 {d16-d19}, [r12]!",
    "vst1.32 {d20-d23}, [r12]!",
    "subs r0, r0, #1",
    "bne 1b",
    // Rows.
    "mov r12, sp",
    "mov r3, #64",
    "2:",
    "mov r2, r12",
    "add r12, r12, #16",
    load_six!(),
    output_points!(),
    "vld1.32 {d24-d25}, [r6]",
    "vadd.f32 q8, q8, q12",
    "vadd.f32 q9, q9, q12",
    "vadd.f32 q10, q10, q12",
    "vadd.f32 q11, q11, q12",
    "cmp r7, #0",
    "beq 3f",
    "mov r2, r7",
    "add r7, r7, r10",
    "vld1.32 {d24-d25}, [r2], r11",
    "vld1.32 {d26-d27}, [r2], r11",
    "vld1.32 {d28-d29}, [r2], r11",
    "vld1.32 {d30-d31}, [r2]",
    "vadd.f32 q8, q8, q12",
    "vadd.f32 q9, q9, q13",
    "vadd.f32 q10, q10, q14",
    "vadd.f32 q11, q11, q15",
    "3:",
    "cmp r8, #0",
    "beq 4f",
    "vmov.i32 q12, #0",
    "vmax.f32 q8, q8, q12",
    "vmax.f32 q9, q9, q12",
    "vmax.f32 q10, q10, q12",
    "vmax.f32 q11, q11, q12",
    "4:",
    "mov r2, r9",
    "add r9, r9, r10",
    "vst1.32 {d16-d17}, [r2], r11",
    "vst1.32 {d18-d19}, [r2], r11",
    "vst1.32 {d20-d21}, [r2], r11",
    "vst1.32 {d22-d23}, [r2]",
    "subs r1, r1, #1",
    "bne 2b",
    "add sp, sp, #384",
    "pop {r4-r11}",
    "bx lr",
);
