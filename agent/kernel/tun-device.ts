// TUN devices are made by opening them, not through netlink.

/**
 * Makes a TUN device that stays when nobody has it open. Nothing happens where it is there. Fails as the package does.
 */
export async function makePersistentTun(name: string): Promise<void> {
  // Loaded where a TUN device is wanted only: it costs memory that the other backends do not need.
  const { openTun } = await import('dgram-native');
  using tun = openTun({ name });
  tun.setPersistent(true);
}
