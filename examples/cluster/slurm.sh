#!/usr/bin/env bash
# Slurm, by Ray's own `symmetric-run`: it starts Ray on every node, runs one command on the first, and stops Ray again.
#   sbatch slurm.sh /data/videos/manifest.csv /data/cache.zarr
# Sent again after a time limit or a lost node, it resumes.
#SBATCH --job-name=hcl-extract
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=56
#SBATCH --exclusive
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

videos=$1 cache=$2
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | cut -d ' ' -f 1):6379

# One secret for all nodes of this job: Ray 2.60 refuses those that do not know it.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(python -c "import secrets; print(secrets.token_hex(32))")

srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
    ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "${SLURM_GPUS_ON_NODE:-0}" \
    -- hcl extract "$videos" "$cache" --ray auto
