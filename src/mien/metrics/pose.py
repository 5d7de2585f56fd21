"""How far the head is turned from where it should be."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pose_error(reference: ArrayLike, generated: ArrayLike) -> NDArray[np.float64]:
    """Signed differences of angles in degrees [..., 3] (yaw, pitch, roll), wrapped into [-180, 180)."""
    difference = np.asarray(generated, np.float64) - np.asarray(reference, np.float64)
    return (difference + 180.0) % 360.0 - 180.0


def pose_rmse(reference: ArrayLike, generated: ArrayLike) -> NDArray[np.float64]:
    """Root mean square error in degrees of [N, 3] poses -> [3] (yaw, pitch, roll); lower is better."""
    return np.sqrt(np.square(pose_error(reference, generated)).mean(axis=0))


def rotation(pose: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrices [..., 3, 3] of poses [..., 3] in degrees: Ry(yaw) Rx(-pitch) Rz(-roll).

    Convention:
        x to the subject's left, y up, z out of the face; yaw + turns to the subject's left, pitch + up, roll + tilts to
        the subject's left shoulder.
    """
    yaw, pitch, roll = np.moveaxis(np.radians(np.asarray(pose, np.float64)) * [1.0, -1.0, -1.0], -1, 0)
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)

    def matrix(*entries: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(entries, -1).reshape(*yaw.shape, 3, 3)

    about_y = matrix(np.cos(yaw), zero, np.sin(yaw), zero, one, zero, -np.sin(yaw), zero, np.cos(yaw))
    about_x = matrix(one, zero, zero, zero, np.cos(pitch), -np.sin(pitch), zero, np.sin(pitch), np.cos(pitch))
    about_z = matrix(np.cos(roll), -np.sin(roll), zero, np.sin(roll), np.cos(roll), zero, zero, zero, one)
    return about_y @ about_x @ about_z


def geodesic(reference: ArrayLike, generated: ArrayLike) -> NDArray[np.float64]:
    """Angle in degrees of the one turn that takes pose [..., 3] to pose [..., 3]; lower is better."""
    relative = np.swapaxes(rotation(reference), -1, -2) @ rotation(generated)
    trace = np.trace(relative, axis1=-2, axis2=-1)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1.0, 1.0)))
