# Read by the scripts beside it: steps that change nothing when they are done already.

# Installs the packages of Debian that are missing.
install_packages() {
  missing=
  for package; do
    case $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) in
      installed) ;;
      *) missing="$missing $package" ;;
    esac
  done
  [ -n "$missing" ] || return 0
  export DEBIAN_FRONTEND=noninteractive
  # A VM that has just booted may be updating itself.
  apt-get -qq -o DPkg::Lock::Timeout=300 update
  # shellcheck disable=SC2086 # Names of packages, without blanks in them.
  apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing >/dev/null
}

# Writes its input to a file. Succeeds where that changes the file.
put() {
  mkdir -p "${1%/*}"
  cat >"$1.new"
  if cmp -s "$1.new" "$1"; then
    rm "$1.new"
    return 1
  fi
  mv "$1.new" "$1"
}
