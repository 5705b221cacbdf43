/* The switch for aarch64, AAPCS64: x19-x30, d8-d15 and FPCR.
 *
 * A suspended context, from its sp up:
 *      0  FPCR, unused
 *     16  d8-d15
 *     80  x19-x28
 *    160  x29 (frame pointer), x30 (where it goes on)
 *
 * FPCR is written only when it differs: the write is self-synchronising and slow. It leaves by ret, which branch
 * target identification lets pass to any address; the entries bear `bti c` (a nop on older cores), hence the BTI note.
 */
#ifndef SLEY__SWAP
#ifdef SLEY__SANITIZED
#define SLEY__SWAP sley__context_swap
#else
#define SLEY__SWAP sley__context_switch
#endif
#endif

#define FRAME_BYTES 176

/* Where a suspended context has its caller's registers, from the end of its frame. */
        .macro  describe_frame
        .cfi_offset 72, 16 - FRAME_BYTES
        .cfi_offset 73, 24 - FRAME_BYTES
        .cfi_offset 74, 32 - FRAME_BYTES
        .cfi_offset 75, 40 - FRAME_BYTES
        .cfi_offset 76, 48 - FRAME_BYTES
        .cfi_offset 77, 56 - FRAME_BYTES
        .cfi_offset 78, 64 - FRAME_BYTES
        .cfi_offset 79, 72 - FRAME_BYTES
        .cfi_offset 19, 80 - FRAME_BYTES
        .cfi_offset 20, 88 - FRAME_BYTES
        .cfi_offset 21, 96 - FRAME_BYTES
        .cfi_offset 22, 104 - FRAME_BYTES
        .cfi_offset 23, 112 - FRAME_BYTES
        .cfi_offset 24, 120 - FRAME_BYTES
        .cfi_offset 25, 128 - FRAME_BYTES
        .cfi_offset 26, 136 - FRAME_BYTES
        .cfi_offset 27, 144 - FRAME_BYTES
        .cfi_offset 28, 152 - FRAME_BYTES
        .cfi_offset 29, 160 - FRAME_BYTES
        .cfi_offset 30, 168 - FRAME_BYTES
        .endm

        .text

/* void SLEY__SWAP(struct sley__context *from: x0, struct sley__context *to: x1) */
        .globl  SLEY__SWAP
        .hidden SLEY__SWAP
        .type   SLEY__SWAP, %function
        .p2align 6
SLEY__SWAP:
        .cfi_startproc
        hint    #34                     /* bti c */
        sub     sp, sp, #FRAME_BYTES
        .cfi_def_cfa_offset FRAME_BYTES
        stp     d8, d9, [sp, #16]
        stp     d10, d11, [sp, #32]
        stp     d12, d13, [sp, #48]
        stp     d14, d15, [sp, #64]
        stp     x19, x20, [sp, #80]
        stp     x21, x22, [sp, #96]
        stp     x23, x24, [sp, #112]
        stp     x25, x26, [sp, #128]
        stp     x27, x28, [sp, #144]
        stp     x29, x30, [sp, #160]
        describe_frame
        mrs     x2, fpcr
        str     x2, [sp]
        mov     x3, sp
        str     x3, [x0]
        /* From here on the same description holds for the other stack: both frames look alike. */
        ldr     x3, [x1]
        mov     sp, x3
        ldr     x4, [sp]
        cmp     x2, x4
        b.eq    1f
        msr     fpcr, x4
1:      ldp     d8, d9, [sp, #16]
        ldp     d10, d11, [sp, #32]
        ldp     d12, d13, [sp, #48]
        ldp     d14, d15, [sp, #64]
        ldp     x19, x20, [sp, #80]
        ldp     x21, x22, [sp, #96]
        ldp     x23, x24, [sp, #112]
        ldp     x25, x26, [sp, #128]
        ldp     x27, x28, [sp, #144]
        ldp     x29, x30, [sp, #160]
        add     sp, sp, #FRAME_BYTES
        .cfi_def_cfa_offset 0
        .cfi_restore 72
        .cfi_restore 73
        .cfi_restore 74
        .cfi_restore 75
        .cfi_restore 76
        .cfi_restore 77
        .cfi_restore 78
        .cfi_restore 79
        .cfi_restore 19
        .cfi_restore 20
        .cfi_restore 21
        .cfi_restore 22
        .cfi_restore 23
        .cfi_restore 24
        .cfi_restore 25
        .cfi_restore 26
        .cfi_restore 27
        .cfi_restore 28
        .cfi_restore 29
        .cfi_restore 30
        ret
        .cfi_endproc
        .size   SLEY__SWAP, . - SLEY__SWAP

/* Where a context begins: x19 is entry, x20 its argument. The caller is undefined: every backtrace ends here. */
        .type   begin, %function
        .p2align 4
begin:
        .cfi_startproc
        .cfi_undefined 30
        .cfi_undefined 29
        hint    #36                     /* bti j */
        mov     x0, x20
        blr     x19
        brk     #1
        .cfi_endproc
        .size   begin, . - begin

/* void *sley__context_frame(void *top: x0, void (*entry)(void *): x1, void *arg: x2)
 * FPCR is the creator's, as a new thread's is (C11 7.6). */
        .globl  sley__context_frame
        .hidden sley__context_frame
        .type   sley__context_frame, %function
        .p2align 4
sley__context_frame:
        .cfi_startproc
        hint    #34                     /* bti c */
        and     x0, x0, #-16
        sub     x0, x0, #FRAME_BYTES
        mrs     x3, fpcr
        stp     x3, xzr, [x0]
        stp     xzr, xzr, [x0, #16]
        stp     xzr, xzr, [x0, #32]
        stp     xzr, xzr, [x0, #48]
        stp     xzr, xzr, [x0, #64]
        stp     x1, x2, [x0, #80]
        stp     xzr, xzr, [x0, #96]
        stp     xzr, xzr, [x0, #112]
        stp     xzr, xzr, [x0, #128]
        stp     xzr, xzr, [x0, #144]
        adr     x3, begin
        stp     xzr, x3, [x0, #160]     /* x29 = 0 ends chains of frame pointers */
        ret
        .cfi_endproc
        .size   sley__context_frame, . - sley__context_frame

/* int sley__context_walk(const struct sley__context *c: x0, void (*fn)(void *): x1, void *arg: x2)
 * fn runs on this stack, while the unwind table says that its caller is the suspended switch of c: the same description
 * as above, with what was sp there in x19. */
        .globl  sley__context_walk
        .hidden sley__context_walk
        .type   sley__context_walk, %function
        .p2align 4
sley__context_walk:
        .cfi_startproc
        hint    #34                     /* bti c */
        stp     x19, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset 19, -16
        .cfi_offset 30, -8
        ldr     x19, [x0]
        mov     x0, x2
        .cfi_remember_state
        .cfi_def_cfa 19, FRAME_BYTES
        describe_frame
        blr     x1
        nop                             /* where the call returns to is described so, too */
        .cfi_restore_state
        mov     w0, #1
        ldp     x19, x30, [sp], #16
        .cfi_def_cfa_offset 0
        .cfi_restore 19
        .cfi_restore 30
        ret
        .cfi_endproc
        .size   sley__context_walk, . - sley__context_walk

        .section .note.gnu.property, "a"
        .p2align 3
        .long   4, 16, 5                /* name size, description size, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0     /* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI */

        .section .note.GNU-stack, "", %progbits
