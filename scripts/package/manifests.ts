/**
 * `npm run package:manifests -- FOLDER`: what Homebrew, Scoop, winget and the AUR want to know of a release, in FOLDER/manifests:
 * texts that name the release's files and their hashes. FOLDER holds these files.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { product } from './product.ts';

/** Names of the files of a release. */
export const ASSETS = {
  npm: `viaduct-${product().version}.tgz`,
  linuxX64: `viaduct-${product().version}-linux-x64`,
  linuxArm64: `viaduct-${product().version}-linux-arm64`,
  windowsX64: `viaduct-${product().version}-win32-x64.exe`,
} as const;

type Hashes = Readonly<Record<keyof typeof ASSETS, string>>;

/** Each manifest by its path. */
export function manifests(hashes: Hashes): ReadonlyMap<string, string> {
  const { name, version, summary, description, license, homepage, downloads, maintainer } = product();
  const url = (asset: keyof typeof ASSETS): string => `${downloads}/${ASSETS[asset]}`;
  const [publisher = ''] = maintainer.split(' <');
  const winget = `manifests/v/Viaduct/Viaduct/${version}/Viaduct.Viaduct`;
  const wingetHead = `PackageIdentifier: Viaduct.Viaduct\nPackageVersion: ${version}\n`;
  return new Map([
    [
      'homebrew/viaduct.rb',
      `class Viaduct < Formula
  desc "${summary.replace(/^./, (first) => first.toUpperCase())}"
  homepage "${homepage}"
  url "${url('npm')}"
  sha256 "${hashes.npm}"
  license "${license}"

  depends_on "node"

  def install
    system "npm", "install", *std_npm_args
    bin.install_symlink libexec.glob("bin/*")
    generate_completions_from_executable(bin/"viaduct", "completion")
  end

  service do
    run [opt_bin/"viaduct", "run"]
    keep_alive crashed: true
    log_path var/"log/viaduct.log"
    error_log_path var/"log/viaduct.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/viaduct --version")
  end
end
`,
    ],
    [
      'scoop/viaduct.json',
      `${JSON.stringify(
        {
          version,
          description: summary,
          homepage,
          license,
          architecture: { '64bit': { url: `${url('windowsX64')}#/viaduct.exe`, hash: hashes.windowsX64 } },
          bin: 'viaduct.exe',
          checkver: 'github',
          autoupdate: {
            architecture: { '64bit': { url: `${url('windowsX64').replaceAll(version, '$version')}#/viaduct.exe` } },
          },
        },
        null,
        4,
      )}\n`,
    ],
    [`winget/${winget}.yaml`, `${wingetHead}DefaultLocale: en-US\nManifestType: version\nManifestVersion: 1.6.0\n`],
    [
      `winget/${winget}.locale.en-US.yaml`,
      `${wingetHead}PackageLocale: en-US
Publisher: ${publisher}
PackageName: Viaduct
PackageUrl: ${homepage}
License: ${license}
ShortDescription: ${JSON.stringify(summary)}
Description: ${JSON.stringify(description)}
ManifestType: defaultLocale
ManifestVersion: 1.6.0
`,
    ],
    [
      `winget/${winget}.installer.yaml`,
      `${wingetHead}InstallerType: portable
Commands:
  - ${name}
Installers:
  - Architecture: x64
    InstallerUrl: ${url('windowsX64')}
    InstallerSha256: ${hashes.windowsX64.toUpperCase()}
ManifestType: installer
ManifestVersion: 1.6.0
`,
    ],
    [
      'aur/PKGBUILD',
      `# Maintainer: ${maintainer}
pkgname=viaduct-bin
pkgver=${version}
pkgrel=1
pkgdesc="${summary}"
arch=(x86_64 aarch64)
url="${homepage}"
license=(${license})
depends=(gcc-libs glibc)
provides=(viaduct)
conflicts=(viaduct)
# Stripping would cut off what the executable carries.
options=(!strip)
source_x86_64=("${url('linuxX64')}")
source_aarch64=("${url('linuxArm64')}")
sha256sums_x86_64=('${hashes.linuxX64}')
sha256sums_aarch64=('${hashes.linuxArm64}')

package() {
  local suffix=x64
  if [ "$CARCH" = aarch64 ]; then suffix=arm64; fi
  install -Dm755 "viaduct-$pkgver-linux-$suffix" "$pkgdir/usr/bin/viaduct"
  "$pkgdir/usr/bin/viaduct" completion bash | install -Dm644 /dev/stdin "$pkgdir/usr/share/bash-completion/completions/viaduct"
  "$pkgdir/usr/bin/viaduct" completion zsh | install -Dm644 /dev/stdin "$pkgdir/usr/share/zsh/site-functions/_viaduct"
  "$pkgdir/usr/bin/viaduct" completion fish | install -Dm644 /dev/stdin "$pkgdir/usr/share/fish/vendor_completions.d/viaduct.fish"
}
`,
    ],
  ]);
}

/** Throws when a file of the release is missing. */
export function hashesOf(folder: string): Hashes {
  const hashOf = (asset: keyof typeof ASSETS): string => {
    const path = join(folder, ASSETS[asset]);
    if (!existsSync(path))
      throw new Error(`${path} is missing: a release has all of ${Object.values(ASSETS).join(', ')}`);
    return createHash('sha256').update(readFileSync(path)).digest('hex');
  };
  return {
    npm: hashOf('npm'),
    linuxX64: hashOf('linuxX64'),
    linuxArm64: hashOf('linuxArm64'),
    windowsX64: hashOf('windowsX64'),
  };
}

if (import.meta.main) {
  const folder = process.argv[2] ?? '.';
  for (const [path, text] of manifests(hashesOf(folder))) {
    const file = join(folder, 'manifests', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    process.stdout.write(`${file}\n`);
  }
}
