/** Variables that would weaken TLS in any other program of Node, and that mean nothing here: what to say about them. */
export function ignoredEnvironment(environment: Readonly<Record<string, string | undefined>>): readonly string[] {
  if (environment.NODE_TLS_REJECT_UNAUTHORIZED !== '0') return [];
  return [
    'NODE_TLS_REJECT_UNAUTHORIZED=0 is ignored: certificates of upstream proxies and PAC servers are always verified; ' +
      'to trust a private authority, write upstreams: [{ host: HOST, ca: FILE }]',
  ];
}
