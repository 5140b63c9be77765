# The guest that runs a list of commands in QEMU; guest.hex holds its bytes. To rebuild them:
#
#   powerpc64-linux-gnu-gcc -c -o guest.o guest.S
#   powerpc64-linux-gnu-objcopy -O binary -j .text guest.o guest.bin
#   od -An -v -tx1 -w32 guest.bin | tr -d ' ' > guest.hex
#
# It is loaded at address 0, starts at 0x100 in big-endian real mode, and shares its memory with the
# test as a file. A command is r3 to r11, 72 bytes; so is its result. r3 says what to do:
#
#   0          end: dump the HPT by H_READ, say so at FINISHED, power off
#   1          load the doubleword at EA r4 into r4
#   2          store r5 to EA r4
#   3          slbmte r4, r5
#   otherwise  hypercall r3 with r4 to r11
#
# A load or store leaves 0 in r3, or 1 and DSISR in r4 when it faults. Where there is a second vCPU it
# runs a list of its own.

        .set    COMMANDS,  0x01000000
        .set    DUMP,      0x03000000
        .set    FINISHED,  0x03f00000
        .set    RESULTS,   0x04000000
        .set    SECOND,    0x01000000   # as far behind are commands and results of the second vCPU

        .set    H_ENTER,   0x08
        .set    H_READ,    0x0c
        .set    H_RTAS,    0xf000
        .set    NHPTES,    0x20000      # of a guest of 256 MiB
        .set    MSR_DR,    0x10
        .set    RTAS_CALL, 0x780
        .set    RTAS_START, 0x7a0
        .set    STARTED,   RTAS_START + 24

        .text
base:   .org    0x100
        b       first
        .org    0x300                   # data storage interrupt: MSR[DR] is off again
        b       fault
        .org    0x700                   # program interrupt: a defect of the test
        b       power_off

        .org    RTAS_CALL
        .long   0x2003, 2, 1, 0, 0, 0   # QEMU's token of power-off; 2 arguments, 1 result
        .org    RTAS_START
        .long   0x2006, 3, 1, 1, start - base, SECOND, 0       # of start-cpu: vCPU 1, its r3

        .org    0x800
first:  li      3, 0
        ori     3, 3, H_RTAS
        li      4, RTAS_START
        sc      1
        li      3, 0

start:  mr      28, 3
        lis     20, COMMANDS >> 16
        lis     21, RESULTS >> 16
        add     20, 20, 28
        add     21, 21, 28
        li      22, 1                   # MSR[SF]: 64-bit mode, translation off
        sldi    22, 22, 63
        mtmsrd  22
        ori     23, 22, MSR_DR
        li      24, 1                   # a segment of no use but to be invalidated
        sldi    24, 24, 62
        oris    24, 24, 0xff00
        li      25, 0xff
        sldi    25, 25, 40
        oris    25, 25, 0x0800
        ori     25, 25, 9
        slbmte  24, 25

next:   ld      3, 0(20)
        ld      4, 8(20)
        ld      5, 16(20)
        ld      6, 24(20)
        ld      7, 32(20)
        ld      8, 40(20)
        ld      9, 48(20)
        ld      10, 56(20)
        ld      11, 64(20)
        addi    20, 20, 72
        cmpdi   3, 0
        beq     end
        cmpdi   3, 1
        beq     load
        cmpdi   3, 2
        beq     store
        cmpdi   3, 3
        beq     segment
        mr      26, 3
        sc      1
        cmpdi   26, H_ENTER
        bne     done
        cmpdi   3, 0
        bne     done
        slbie   25                      # flush the TLB: see "TLB after H_ENTER" in compare.py
        isync
        slbmte  24, 25

done:   std     3, 0(21)
        std     4, 8(21)
        std     5, 16(21)
        std     6, 24(21)
        std     7, 32(21)
        std     8, 40(21)
        std     9, 48(21)
        std     10, 56(21)
        std     11, 64(21)
        addi    21, 21, 72
        b       next

load:   mtmsrd  23
        isync
        ld      4, 0(4)
        mtmsrd  22
        isync
        li      3, 0
        b       done

store:  mtmsrd  23
        isync
        std     5, 0(4)
        mtmsrd  22
        isync
        li      3, 0
        b       done

segment:
        slbmte  4, 5
        isync
        li      3, 0
        b       done

fault:  li      3, 1
        mfspr   4, 18                   # DSISR
        b       done

end:    cmpdi   28, 0
        beq     both
        sync
        lis     21, FINISHED >> 16
        li      3, 1
        std     3, 8(21)
        b       .

both:   lwz     3, STARTED(0)
        cmpwi   3, 0
        bne     all                     # there is none
        lis     21, FINISHED >> 16
wait:   ld      3, 8(21)
        cmpdi   3, 0
        beq     wait
        sync

all:    lis     21, DUMP >> 16
        li      26, 0
        lis     27, NHPTES >> 16
dump:   li      3, H_READ
        li      4, 1
        sldi    4, 4, 37                # H_READ_4
        mr      5, 26
        sc      1
        std     4, 0(21)
        std     5, 8(21)
        std     6, 16(21)
        std     7, 24(21)
        std     8, 32(21)
        std     9, 40(21)
        std     10, 48(21)
        std     11, 56(21)
        addi    21, 21, 64
        addi    26, 26, 4
        cmpd    26, 27
        blt     dump
        lis     21, FINISHED >> 16
        li      3, 1
        std     3, 0(21)

power_off:
        li      3, 0
        ori     3, 3, H_RTAS
        li      4, RTAS_CALL
        sc      1
        b       .
