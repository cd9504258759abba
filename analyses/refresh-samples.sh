#!/bin/sh
# Makes the samples of the later analyses from that of the first, posts-clean/sample/export:
# each is what the analysis before it gives. A test compares them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/clean" "$work/social" "$work/words"
"$here/build.sh" --programs-only
"$here/posts-clean/build/posts-clean" --in "$here/posts-clean/sample" --out "$work/clean"
for name in social-engagement writing-patterns; do
    cp "$work/clean/posts.jsonl" "$here/$name/sample/posts"
done
"$here/social-engagement/build/social-engagement" --in "$here/social-engagement/sample" --out "$work/social"
python3 -B "$here/writing-patterns/app/main.py" --in "$here/writing-patterns/sample" --out "$work/words"
sample=$here/insights-report/sample
cp "$work/social/result.json" "$sample/engagement"
cp "$work/social/heatmap.svg" "$sample/heatmap"
cp "$work/words/result.json" "$sample/words"
cp "$work/words/wordcloud.svg" "$sample/cloud"
