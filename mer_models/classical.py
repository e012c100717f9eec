"""The two systems without a network: hand-made descriptors and a linear support vector machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mer_models.spec import FoldArrays, InputSpec, ModelSpec, Outcome, Published, Recipe, Rows, TrainingFailed, register


def fit_svm(spec: ModelSpec, arrays: FoldArrays, recipe: Recipe, seed: int, device: str) -> Outcome:
    """Standardise a descriptor by the training clips, and classify it with a linear SVM, C = 1, classes balanced.

    Nothing is random and there are no epochs: every kept epoch gets the same answer, and of the recipe nothing else
    counts. The scores are scikit-learn's one-against-rest scores made of the machines of all pairs of classes; a class
    that no training clip has gets 1 less than the lowest of the others.

    Raises
    ------
    TrainingFailed
        If there are no training clips.
    """
    if not len(arrays.labels):
        raise TrainingFailed("no training clips")
    # Here, because every worker imports this module, and few need what takes more than a second to import.
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    train, test = _vectors(arrays.train[0]), _vectors(arrays.test[0])
    known = np.unique(arrays.labels)
    scores = np.zeros((arrays.test_clips, len(known)))
    if len(known) > 1:
        scaler = StandardScaler().fit(train)
        train, test = scaler.transform(train), scaler.transform(test)
        # One Gram matrix for all pairs of classes. Another fold has other means and deviations, and with these other
        # products of any two clips, so it cannot be shared between folds without looking at the held-out subject.
        machine = SVC(kernel="precomputed", C=1.0, class_weight="balanced").fit(train @ train.T, arrays.labels)
        scores = machine.decision_function(test @ train.T)
        if len(known) == 2:  # one number: positive for the second class
            scores = np.stack([-scores, scores], axis=1)
    lowest = scores.min(axis=1, keepdims=True) - 1
    logits = np.repeat(lowest, arrays.classes, axis=1)
    logits[:, known] = scores
    epochs = recipe.kept_epochs()
    return Outcome(tuple(epochs), np.repeat(logits[None].astype(np.float32), len(epochs), axis=0))


def _vectors(rows: Rows) -> npt.NDArray[np.float64]:
    """Descriptors as float64 ``[clips, numbers]``."""
    array = np.asarray(rows, np.float64)
    return array.reshape(len(array), -1)


_CLASSIFIER = (
    "No classifier is published with these features. Ours: each number standardised by the training clips of the fold, "
    "linear SVM, C = 1, not tuned, errors weighted against the frequency of their class.",
    "Of the recipe nothing is used: the SVM has no epochs, no learning rate and no seed.",
)

register(
    ModelSpec(
        name="lbp_top_svm",
        paper=(
            "G. Zhao, M. Pietikäinen: Dynamic texture recognition using local binary patterns with an application to "
            "facial expressions. IEEE TPAMI 29(6), 2007. Settings: J. See, M. H. Yap, J. Li, X. Hong, S.-J. Wang: "
            "MEGC 2019 - the second facial micro-expressions grand challenge. IEEE FG 2019"
        ),
        inputs=(InputSpec("lbp_top_megc", (), (1125,)),),
        recipe=Recipe(epochs=1),
        fit=fit_svm,
        published=(Published("megc2019", 0.5882, 0.5785, "not stated", "MEGC 2019 guideline, baseline"),),
        deviations=(
            *_CLASSIFIER,
            "Standardising matters: without it, a linear SVM with C = 1 calls all 442 clips negative on the whole-face "
            "histograms published with ATN.",
            "Of the published baseline no code is known. Its two scores for SMIC, UF1 0.2000 and UAR 0.5280, cannot "
            "belong to the same answers, so the published scores as a whole are a weak target.",
        ),
        gpu_share=0.0,
    )
)
register(
    ModelSpec(
        name="hoof_svm",
        paper=(
            "R. Chaudhry, A. Ravichandran, G. Hager, R. Vidal: Histograms of oriented optical flow and Binet-Cauchy "
            "kernels on nonlinear dynamical systems for the recognition of human actions. CVPR 2009"
        ),
        inputs=(InputSpec("hoof_tim10_8", (), (8, 9)),),
        recipe=Recipe(epochs=1),
        fit=fit_svm,
        deviations=(
            *_CLASSIFIER,
            "The paper compares sequences with kernels of dynamical systems; here the histograms of the 9 pairs of "
            "frames simply stand side by side, as they do in the files published with ATN.",
            "No score of this system on these lists of clips is published that could be verified.",
        ),
        gpu_share=0.0,
    )
)
