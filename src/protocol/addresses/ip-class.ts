import { CidrMap, CidrSet, type IpAddress, knownCidr } from './ip-address.ts';
import { effectiveAddresses } from './ip-embedded.ts';

/**
 * The class of an address. `special` is every special-purpose block without a class of its own; `public` is the rest.
 */
export type IpClass = 'loopback' | 'private' | 'link-local' | 'metadata' | 'special' | 'public';

/**
 * The IANA special-purpose registries (RFC 6890 and its updates), multicast, and what was reserved before them.
 * The narrowest block that holds an address decides.
 */
const BLOCKS: readonly (readonly [IpClass, readonly string[]])[] = [
  // A connection to the unspecified address reaches this machine on Linux, so it counts as 127.0.0.1.
  ['loopback', ['127.0.0.0/8', '0.0.0.0', '::1', '::']],
  // Site-local addresses (RFC 3879) are deprecated, but where they are in use they belong to an internal network.
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fec0::/10']],
  ['link-local', ['169.254.0.0/16', 'fe80::/10']],
  [
    'special',
    [
      '0.0.0.0/8', // this network (RFC 791 §3.2)
      '100.64.0.0/10', // shared by carriers (RFC 6598)
      '192.0.0.0/24', // protocol assignments (RFC 6890)
      '192.0.2.0/24', // documentation (RFC 5737)
      '192.31.196.0/24', // AS112 (RFC 7535)
      '192.52.193.0/24', // AMT (RFC 7450)
      '192.88.99.0/24', // 6to4 relays (RFC 7526)
      '192.175.48.0/24', // AS112 (RFC 7534)
      '198.18.0.0/15', // benchmarking (RFC 2544)
      '198.51.100.0/24', // documentation
      '203.0.113.0/24', // documentation
      '224.0.0.0/4', // multicast (RFC 5771)
      '240.0.0.0/4', // reserved, and the broadcast address (RFC 1112 §4, RFC 919)
      '::/0', // outside 2000::/3 there are no hosts of the Internet: 100::/64, 5f00::/16, ff00::/8 …
      '2001::/23', // protocol assignments (RFC 2928): benchmarking, ORCHID, AMT …
      '2001:db8::/32', // documentation (RFC 3849)
      '2620:4f:8000::/48', // AS112 (RFC 7534)
      '3fff::/20', // documentation (RFC 9637)
    ],
  ],
  ['public', ['0.0.0.0/0', '2000::/3']],
];

/** Where clouds serve instance credentials. Some of these addresses are in public blocks. */
const METADATA: readonly string[] = [
  '169.254.169.254', // AWS, Azure, Google Cloud, DigitalOcean, OpenStack, Oracle
  'fd00:ec2::254', // AWS
  'fd20:ce::254', // Google Cloud
  'fd00:c1::a9fe:a9fe', // Oracle
  'fe80::a9fe:a9fe', // OpenStack
  '169.254.170.2', // AWS ECS task credentials
  '169.254.170.23', // AWS EKS pod identity
  'fd00:ec2::23', // AWS EKS pod identity
  '100.100.100.200', // Alibaba Cloud
  '168.63.129.16', // Azure host agent
  '169.254.42.42', // Scaleway
  'fd00:42::42', // Scaleway
  '169.254.0.23', // Tencent Cloud
  '192.0.0.192', // Oracle Cloud, older images
];

const METADATA_SET = new CidrSet(METADATA.map(knownCidr));
const CLASS_OF_BLOCK = new CidrMap<IpClass>();
for (const [name, blocks] of BLOCKS) {
  for (const block of blocks) CLASS_OF_BLOCK.add(knownCidr(block), name);
}

/** From the most to the least dangerous: an address of several classes counts as the first of them. */
const BY_DANGER: readonly IpClass[] = ['metadata', 'loopback', 'private', 'link-local', 'special', 'public'];

/** The class of an address; IPv4 embedded in IPv6 is classified as the IPv4 address inside. */
export function classify(address: IpAddress): IpClass {
  const classes = new Set(effectiveAddresses(address).flatMap(classesOf));
  return BY_DANGER.find((name) => classes.has(name)) ?? 'special';
}

/** Every class of an address itself: 169.254.169.254 is `metadata`, and also `link-local`. */
export function classesOf(address: IpAddress): readonly IpClass[] {
  const block = CLASS_OF_BLOCK.find(address).at(-1) ?? 'special';
  return METADATA_SET.has(address) ? ['metadata', block] : [block];
}
