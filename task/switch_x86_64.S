/* The switch for x86-64, System V ABI: rbx rbp r12-r15, the control bits of MXCSR and the x87 control word.
 *
 * A suspended context, from its sp up:
 *      0  MXCSR (4 bytes), x87 control word (2)
 *      8  r15 r14 r13 r12 rbx rbp
 *     56  where it goes on
 *
 * Two choices come from measuring, with two contexts that switch to each other in turn:
 * - It leaves by an indirect jump, not by ret: the return predictor would expect the other context's caller and miss
 *   each time (13.5 ns against 4.0). `notrack`, since the target is a return address and bears no endbr64.
 * - The control words are loaded only when they differ. Loading MXCSR with another value drains the pipeline, and the
 *   sticky status bits make the values differ whenever one side has computed with floats (49 ns). By the ABI the
 *   status bits belong to nobody across a call, so that comparing the control bits is enough.
 *
 * CET: the entries bear endbr64, hence the IBT note. The shadow stack is not switched, hence no SHSTK note: the
 * linker then leaves it off for the whole program.
 */
#ifndef SLEY__SWAP
#ifdef SLEY__SANITIZED
#define SLEY__SWAP sley__context_swap
#else
#define SLEY__SWAP sley__context_switch
#endif
#endif

#define MXCSR_CONTROL 0xffc0

        .text

/* void SLEY__SWAP(struct sley__context *from: rdi, struct sley__context *to: rsi) */
        .globl  SLEY__SWAP
        .hidden SLEY__SWAP
        .type   SLEY__SWAP, @function
        .p2align 6
SLEY__SWAP:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        .cfi_remember_state
        fnstcw  4(%rsp)
        movl    (%rsp), %eax
        movzwl  4(%rsp), %edx
        movq    %rsp, (%rdi)
        /* From here on the same description holds for the other stack: both frames look alike. */
        movq    (%rsi), %rsp
        xorl    (%rsp), %eax
        testl   $MXCSR_CONTROL, %eax
        jne     3f
1:      cmpw    %dx, 4(%rsp)
        jne     4f
2:      addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        notrack jmp *%rcx
        .cfi_restore_state
3:      ldmxcsr (%rsp)
        jmp     1b
4:      fldcw   4(%rsp)
        jmp     2b
        .cfi_endproc
        .size   SLEY__SWAP, . - SLEY__SWAP

/* Where a context begins: r12 is entry, r13 its argument. The caller is undefined: every backtrace ends here. */
        .type   begin, @function
        .p2align 4
begin:
        .cfi_startproc
        .cfi_undefined rip
        .cfi_undefined rbp
        endbr64
        movq    %r13, %rdi
        call    *%r12
        ud2
        .cfi_endproc
        .size   begin, . - begin

/* void *sley__context_frame(void *top: rdi, void (*entry)(void *): rsi, void *arg: rdx)
 * The control words are the creator's, as a new thread's are (C11 7.6). 16 bytes stay free above the frame so that
 * begin runs with an aligned stack and a zero where its return address would be. */
        .globl  sley__context_frame
        .hidden sley__context_frame
        .type   sley__context_frame, @function
        .p2align 4
sley__context_frame:
        .cfi_startproc
        endbr64
        andq    $-16, %rdi
        leaq    -80(%rdi), %rax
        xorl    %ecx, %ecx
        stmxcsr (%rax)
        fnstcw  4(%rax)
        movw    %cx, 6(%rax)
        movq    %rcx, 8(%rax)           /* r15 */
        movq    %rcx, 16(%rax)          /* r14 */
        movq    %rdx, 24(%rax)          /* r13: arg */
        movq    %rsi, 32(%rax)          /* r12: entry */
        movq    %rcx, 40(%rax)          /* rbx */
        movq    %rcx, 48(%rax)          /* rbp: ends chains of frame pointers */
        leaq    begin(%rip), %rsi
        movq    %rsi, 56(%rax)
        movq    %rcx, 64(%rax)
        movq    %rcx, 72(%rax)
        ret
        .cfi_endproc
        .size   sley__context_frame, . - sley__context_frame

/* int sley__context_walk(const struct sley__context *c: rdi, void (*fn)(void *): rsi, void *arg: rdx)
 * fn runs on this stack, while the unwind table says that its caller is the suspended switch of c: the same description
 * as above, with what was rsp there in rbx. */
        .globl  sley__context_walk
        .hidden sley__context_walk
        .type   sley__context_walk, @function
        .p2align 4
sley__context_walk:
        .cfi_startproc
        endbr64
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        movq    (%rdi), %rbx
        movq    %rdx, %rdi
        .cfi_remember_state
        .cfi_def_cfa rbx, 64
        .cfi_offset rbp, -16
        .cfi_offset rbx, -24
        .cfi_offset r12, -32
        .cfi_offset r13, -40
        .cfi_offset r14, -48
        .cfi_offset r15, -56
        call    *%rsi
        nop                             /* where the call returns to is described so, too */
        .cfi_restore_state
        movl    $1, %eax
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        ret
        .cfi_endproc
        .size   sley__context_walk, . - sley__context_walk

        .section .note.gnu.property, "a"
        .p2align 3
        .long   4, 16, 5                /* name size, description size, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0     /* GNU_PROPERTY_X86_FEATURE_1_AND: IBT */

        .section .note.GNU-stack, "", @progbits
