"""A cluster's directory and what it picks on the host."""

from __future__ import annotations

import socket

import pytest

from sampan.cmd.cluster import ClusterDirectory, ClusterError, is_port_free, pick_config


def test_recorded_configuration_is_read_back(tmp_path):
    directory = ClusterDirectory(tmp_path)
    config = pick_config(directory, nodes=False, used=[])
    directory.save(config)
    assert directory.load() == config


def test_ranges_in_use_are_passed_over(tmp_path):
    config = pick_config(ClusterDirectory(tmp_path), nodes=True, used=["10.42.7.0/24", "10.97.0.0/16"])
    assert (config.cluster_cidr, config.service_cidr) == ("10.44.0.0/16", "10.98.0.0/16")


def test_ports_in_use_are_passed_over(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_port_free(port)
    config = pick_config(ClusterDirectory(tmp_path), nodes=True, used=[])
    assert len({config.secure_port, config.kubelet_port, config.registry_port}) == 3


def test_dns_address_is_the_tenth_of_the_service_range(tmp_path):
    assert pick_config(ClusterDirectory(tmp_path), nodes=True, used=[]).dns_address.endswith(".0.10")


def test_two_directories_have_two_identities(tmp_path):
    assert ClusterDirectory(tmp_path / "a").identity != ClusterDirectory(tmp_path / "b").identity


def test_damaged_configuration_names_the_file_and_the_cure(tmp_path):
    directory = ClusterDirectory(tmp_path)
    directory.config_file.write_text("{")
    with pytest.raises(ClusterError, match=r"cluster\.json is damaged .*down --purge"):
        directory.load()


def test_absent_cluster_names_the_command_that_starts_one(tmp_path):
    with pytest.raises(ClusterError, match="sampan up --data-dir"):
        ClusterDirectory(tmp_path).require()


def test_second_command_on_the_same_directory_is_refused(tmp_path):
    directory = ClusterDirectory(tmp_path)
    with directory.locked("sampan up"), pytest.raises(ClusterError, match="another sampan command"):  # noqa: SIM117
        with directory.locked("sampan down"):
            pass
    with directory.locked("sampan down"):
        pass
