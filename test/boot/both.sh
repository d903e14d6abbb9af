# Read by cases: runs a command by our program and by the real one, and says where they differ.
# Ours is called through links of the same names as the real tools, so that messages begin alike.

failed=0

# both COMMAND…: in ./ours and in ./theirs; prints the command, its status and its first message.
# The usage that follows some messages is each program's own, and an empty line at the end says nothing.
both() {
  for side in ours theirs; do
    status=0
    (
      cd $side
      [ $side = theirs ] || PATH=/payload/ours:$PATH
      exec "$@"
    ) >/tmp/$side.out 2>/tmp/$side.err </dev/null || status=$?
    echo $status >/tmp/$side.status
    sed -i '/^Usage:/,$d; /^$/d' /tmp/$side.err
  done
  for part in out err status; do
    cmp -s /tmp/ours.$part /tmp/theirs.$part || {
      failed=1
      { echo "$*: $part: ours, theirs:"; head -n 4 /tmp/ours.$part; head -n 4 /tmp/theirs.$part; } >&2
    }
  done
  echo "$*: $(cat /tmp/theirs.status) $(cat /tmp/theirs.out /tmp/theirs.err | head -n 1)"
}

# each COMMAND…: a shell line in both directories, which must succeed.
each() {
  for side in ours theirs; do (cd $side; eval "$*"); done
}

# sealed DIRECTORY: digests of the files below it that have fs-verity, and a dash for those that have not.
sealed() {
  (cd "$1"; find . -type f | sort | while read -r file; do
    digest=$(/usr/bin/fsverity measure "$file" 2>/dev/null) || digest='-'
    echo "${digest%% *} $file"
  done)
}
