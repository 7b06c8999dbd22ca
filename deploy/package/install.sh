#!/bin/sh
# Installs Twill from this folder, or upgrades it. Run it as root. The settings in /etc/twill/twill.env stay.
# /usr/lib/twill/uninstall.sh removes Twill again.
set -eu
umask 022
# Where a service looks for programs.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
settings=/etc/twill/twill.env
# The installed files and the new folders, one a line.
list=/usr/lib/twill/installed

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

cd "$(dirname "$0")"
[ "$(id -u)" = 0 ] || fail 'must be run as root'
if [ -e /usr/lib/twill/package.json ] && [ ! -e "$list" ]; then
  fail 'a package has installed Twill here: upgrade that package, or remove it first'
fi
command -v node > /dev/null || fail "needs Node.js 20.19 or later; none is in $PATH"
node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
  fail "needs Node.js 20.19 or later; $(command -v node) is $(node --version)"
[ -d "root/usr/lib/twill/node_modules/@koromix/koffi-linux-$(node -p process.arch)" ] ||
  fail "is not for the processor of this host, $(uname -m)"

before=
[ ! -e "$list" ] || before=$(cat "$list")
new=$(cd root && find . -mindepth 1 -type d | cut -c 2- | sort | while read -r folder; do
  [ -d "$folder" ] || { mkdir "$folder" && echo "$folder/"; }
done)
files=$(cd root && find . ! -type d | cut -c 2- | sort)
folders=$(printf '%s\n' "$before" | grep '/$' || :)
printf '%s\n' "$files" "$new" "$folders" | grep . > "$list"
for file in $files; do
  [ "$file" != "$settings" ] || [ ! -e "$file" ] || continue
  cp -P "root$file" "$file.new"
  [ -L "$file.new" ] || chmod u=rwX,go=rX "$file.new"
  [ "$file" != "$settings" ] || chmod 640 "$file.new"
  mv -fT "$file.new" "$file"
done
# Files of the version before that this one does without.
for file in $before; do
  case "$file" in
    */) ;;
    *) printf '%s\n' "$files" | grep -qxF "$file" || rm -f "$file" ;;
  esac
done
cp uninstall.sh preremove.sh postremove.sh /usr/lib/twill
sh ./postinstall.sh configure "$before"
echo "installed $(/usr/bin/twill --version)"
echo "Put the datastore into $settings, then start the agent: systemctl enable --now twill"
