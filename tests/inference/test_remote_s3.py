"""Images and results in S3, by a server on this machine; skips where the extra [s3] or moto is not installed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.errors import DataError, FullconvError
from fullconv.inference.files import predict_files
from fullconv.inference.jobs import find_jobs
from fullconv.inference.load import load
from fullconv.inference.processes import Processes
from fullconv.inference.remote import RemotePath, place_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the server and of botocore


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Five images in ``s3://photos/album``, one of them damaged; yields the folder with the same."""
    pytest.importorskip("s3fs", reason="needs the extra: pip install 'fullconv[s3]'")
    server = pytest.importorskip("moto.server", reason="pip install 'moto[server,s3]'").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    at = f"http://{host}:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (keys | {"AWS_ENDPOINT_URL": at}).items():
            environment.setenv(name, value)
        import boto3

        client = boto3.client("s3", endpoint_url=at)
        client.create_bucket(Bucket="photos")
        folder = tmp_path_factory.mktemp("album")
        random = np.random.default_rng(0)
        for number in range(5):
            path = folder / f"sea/{number}.png" if number % 2 else folder / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(random.integers(0, 256, (20, 30, 3), np.uint8)).save(path)
            if number == 4:
                path.write_bytes(b"damaged")
            client.put_object(Bucket="photos", Key=f"album/{path.relative_to(folder).as_posix()}", Body=path.read_bytes())
        yield folder
    server.stop()


def stored(url: str) -> dict[str, bytes]:
    return {name.as_posix(): RemotePath(path).read_bytes() for path, name in RemotePath(url).files().items()}


def test_two_processes_fill_a_bucket_as_one_fills_a_folder_and_a_rerun_does_the_rest(
    bucket: Path, checkpoint: Path, tmp_path: Path
) -> None:
    predictor = load(checkpoint, "cpu")
    predict_files(predictor, find_jobs([str(bucket)], tmp_path), ["areas"])
    expected = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.png")}
    jobs = find_jobs(["s3://photos/album"], place_of("s3://photos/labels"), ["areas"])
    found = predict_files(predictor, jobs, ["areas"], compute=Processes(predictor, 2))
    assert list(found.failed) == ["s3://photos/album/4.png"]
    written = stored("s3://photos/labels")
    assert {name: written[name] for name in written if name.endswith(".png")} == expected
    assert written["areas.csv"].count(b"\n") == 5
    storage, path = RemotePath("s3://photos/labels/sea/1.png").at
    storage.rm(path)
    again = predict_files(predictor, jobs, ["areas"], compute=Processes(predictor, 1))
    assert list(again.predicted) == ["s3://photos/album/sea/1.png"]
    assert list(again.failed) == ["s3://photos/album/4.png"]
    assert stored("s3://photos/labels") == written


def test_a_bucket_of_a_mistyped_name_is_not_made(bucket: Path) -> None:
    with pytest.raises(FullconvError, match=r"cannot write s3://photoss/labels/a\.png: .*What was there before is untouched"):
        RemotePath("s3://photoss/labels/a.png").write_bytes(b"a")
    with pytest.raises(DataError, match=r"s3://photoss.*(cannot be listed|no images)"):
        find_jobs(["s3://photoss/album"], Path("labels"))
    storage, _ = RemotePath("s3://photos").at
    assert not storage.exists("photoss")
