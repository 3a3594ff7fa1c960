#!/bin/sh
# A bucket on this machine: moto's server of the S3 protocol. Everything is extracted, trained and evaluated in it.
#     pip install "hcl[cloud,test]"
#     sh examples/buckets/try_on_this_machine.sh
set -e
work=$(mktemp -d)
cd "$work"
moto_server --host 127.0.0.1 --port 5555 >server.log 2>&1 &
server=$!
trap 'kill $server; rm -rf "$work"' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 1
    curl --silent --fail --request PUT http://127.0.0.1:5555/bucket && break
done

# The usual variables say where the server is and who asks; of AWS itself, leave out AWS_ENDPOINT_URL.
export AWS_ENDPOINT_URL=http://127.0.0.1:5555 AWS_REGION=us-east-1
export AWS_ACCESS_KEY_ID=nobody AWS_SECRET_ACCESS_KEY=nothing

hcl demo-videos videos --classes 10 --videos-per-class 3
hcl extract videos/manifest.csv s3://bucket/cache.zarr --no-text --views 1
hcl info s3://bucket/cache.zarr
hcl train s3://bucket/cache.zarr --run s3://bucket/runs/a --epochs 3 --steps-per-epoch 10
hcl evaluate s3://bucket/runs/a --episodes 1000
hcl embed s3://bucket/cache.zarr --run s3://bucket/runs/a --out s3://bucket/all.zarr
hcl index videos --out s3://bucket/gestures.support
hcl classify videos --support s3://bucket/gestures.support --top 1
hcl convert s3://bucket/cache.zarr copy.zarr
