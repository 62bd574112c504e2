    .section .rodata
    .global interlink_embedded_shim_begin
    .global interlink_embedded_shim_end
    .balign 16
interlink_embedded_shim_begin:
    .incbin INTERLINK_STATIC_SHIM
interlink_embedded_shim_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
