#!/bin/sh
# Prints which container reaches which. It waits for the containers of all VMs, for three minutes. While a VM is not up,
# it says so and succeeds: the last one prints the matrix.
#
#     matrix.sh NAME=ADDRESS...      all VMs
set -eu
port=8080
limit_s=180

# $1 is the address of a VM, and $2 what its container is asked.
ask() { busybox wget -q -T 5 -O - "http://$1:$port/cgi-bin/$2" 2>/dev/null; }

# From the container of the VM $1 to the container $2. With the udp backend an agent that restarts loses packets, so a
# loss counts only when it is seen twice.
reach() {
  cell=$(ask "$1" "reach?$2") || cell=lost
  [ "$cell" = lost ] || return 0
  sleep 2
  cell=$(ask "$1" "reach?$2") || cell=lost
}

down=
for node; do
  busybox ping -c 1 -W 1 "${node#*=}" >/dev/null 2>&1 || down="$down ${node%%=*}"
done
if [ -n "$down" ]; then
  echo "not up yet:$down. The last VM that comes up prints which container reaches which"
  exit
fi

addresses=
end=$(($(date +%s) + limit_s))
for node; do
  until who=$(ask "${node#*=}" who); do
    [ "$(date +%s)" -lt $end ] || {
      echo "the container of ${node%%=*} did not start within $limit_s s:" \
        "see systemctl status twill docker twill-demo there" >&2
      exit 1
    }
    sleep 1
  done
  addresses="$addresses ${who%% *}"
done

echo 'Pings between the containers, in milliseconds, from row to column:'
printf '%20s' ''
for node; do printf ' %11s' "${node%%=*}"; done
echo
pairs=0
answered=0
row=0
for from; do
  row=$((row + 1))
  column=0
  line=
  for to in $addresses; do
    column=$((column + 1))
    if [ $column = $row ]; then
      own=$to
      cell=-
    else
      reach "${from#*=}" "$to"
      pairs=$((pairs + 1))
      case $cell in [0-9]*) answered=$((answered + 1)) ;; esac
    fi
    line=$line$(printf ' %11s' "${cell:-lost}")
  done
  printf '%-5s%-15s%s\n' "${from%%=*}" "$own" "$line"
done
echo "$answered of $pairs pairs reach each other, and see each other's own address"
[ $answered = $pairs ]
