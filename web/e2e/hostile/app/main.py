"""Writes what a hostile analysis would: outputs that script the page which shows them, if it lets them."""

import json
import sys
import time

MARK = "window.top.pwned = window.parent.pwned = window.pwned = true"
SCRIPT = f"<script>{MARK}; fetch('/api/v1/whoami')</script>"

with open("/in/params.json", encoding="utf-8") as file:
    params = json.load(file)
with open("/in/data", "rb") as file:
    size = len(file.read())

for step in range(params["steps"]):
    text = f"step {step + 1} of {params['steps']}"
    print(text.upper() if params.get("shout") else text, flush=True)
    time.sleep(params.get("pause_ms", 0) / 1000)

print("\x1b[31mred\x1b[0m \x1b[1;32mbold green\x1b[0m \x1b[38;2;255;128;0morange\x1b[0m plain")
print(f"<img src=x onerror=\"{MARK}\">{SCRIPT}")
print("\x1b]8;;javascript:alert(1)\x07a link\x1b]8;;\x07 \u202ereversed\u202c \x07bell")
print("long " + "x" * 6000)
for word in params.get("words", []):
    print("word", word)
print("a word on standard error", file=sys.stderr)

with open("/out/page.html", "w", encoding="utf-8") as file:
    file.write(
        f"<!doctype html><title>Hostile</title>{SCRIPT}<h1 id=here>A hostile page</h1>"
        f"<img src=x onerror=\"{MARK}\"><a href=\"javascript:{MARK}\" target=_top>a link</a>"
        "<form action='/api/v1/session' method=post target=_top><button>a form</button></form>"
    )
with open("/out/picture.svg", "w", encoding="utf-8") as file:
    file.write(
        "<svg xmlns='http://www.w3.org/2000/svg' width='320' height='80' onload=\"" + MARK + "\">"
        f"<script>{MARK}</script><rect width='320' height='80' fill='#fde7e7'/>"
        "<text x='20' y='48' font-family='sans-serif' font-size='22'>A hostile picture</text></svg>"
    )
with open("/out/notes.txt", "w", encoding="utf-8") as file:
    file.write(f"Plain text with markup: {SCRIPT}\n")
with open("/out/blob.bin", "wb") as file:
    file.write(bytes(range(256)))
with open("/out/undeclared.txt", "w", encoding="utf-8") as file:
    file.write("nobody asked for this\n")
with open("/out/result.json", "w", encoding="utf-8") as file:
    json.dump(
        {
            "bytes": size,
            "big": 9223372036854775807,
            "text": SCRIPT,
            "rows": [{"name": "<b>one</b>", "value": 1}, {"name": "two", "value": 2}],
            "params": params,
        },
        file,
    )
