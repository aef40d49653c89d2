/** What `viaduct service` can do with it. */
export const SERVICE_ACTIONS = ['install', 'uninstall', 'status', 'restart', 'logs'] as const;

export type ServiceAction = (typeof SERVICE_ACTIONS)[number];
