/** The numbers by which the journal's entries are found, as they stand in initramfs/report.ts; they never change. @module */
export const DEPLOYMENT_MESSAGE_ID = '7170336a73ba4601bad31af888aa0df7';
export const BOOT_MESSAGE_ID = '57afac1460eb4434a41d292d7173634c';
export const REFUSAL_MESSAGE_ID = 'c339f2ec0211496989b87a95bb2efe80';
export const WARNING_MESSAGE_ID = '3570b190bac84cc4b9f5b55d8d088a36';
