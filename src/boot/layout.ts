/**
 * Where in low guest memory the loaders leave what the kernel is told. All of it lies below the EBDA,
 * in memory that the map calls RAM: Linux copies what it needs before it uses that memory.
 */

/** Boot-time GDT (four descriptors). */
export const GDT_ADDRESS = 0x500;
/** PVH: struct hvm_start_info, then its module list and memory map. */
export const START_INFO_ADDRESS = 0x6000;
export const MODULE_LIST_ADDRESS = 0x6040;
export const PVH_MEMORY_MAP_ADDRESS = 0x6100;
/** Linux boot protocol: struct boot_params, one page. */
export const ZERO_PAGE_ADDRESS = 0x7000;
/** PML4, PDPT and four page directories. */
export const PAGE_TABLES_ADDRESS = 0x9000;
/** The command line with its NUL; up to the EBDA nothing else follows. */
export const CMDLINE_ADDRESS = 0x2_0000;
export const CMDLINE_SPACE = 0x1_0000;
