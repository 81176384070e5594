"""Query by committee: where its members disagree."""

from sklearn.ensemble import VotingClassifier

from skal import acquisition, capabilities
from skal._compat import StrOptions
from skal.strategies._draws import DrawsStrategy

__all__ = ["QueryByCommittee"]

_FUNCTIONS = {
    "vote_entropy": acquisition.vote_entropy,
    "consensus_entropy": acquisition.predictive_entropy,
    "consensus_kl": acquisition.mutual_information,
}


class QueryByCommittee(DrawsStrategy):
    """Query by committee: the rows on which the members of a committee disagree.

    The committee is a list of models, classical and deep ones mixed, or any model with draws. *Row-wise*.

    Memory, of a pool on a disk: a block of rows with its draws, and a number for each row.

    Parameters
    ----------
    estimator : list of classifiers, classifier with sample_proba, or None, default=None
        A list is fitted member by member, as ``sklearn.ensemble.VotingClassifier`` does, and with the fit
        parameters that it takes; members without probabilities cast votes. None means the model of the
        `ActiveLearner` around it.
    kind : {"vote_entropy", "consensus_entropy", "consensus_kl"}, default="vote_entropy"
        Entropy of the members' votes; entropy of their mean distribution; mean Kullback-Leibler
        divergence of the members from it, which equals `BALD`.
    n_draws : int >= 2 or None, default=None
        None is every member of a committee, or 20 dropout masks of a net.
    pixels : {"mean", "max"} or float in (0, 1], default="mean"
        Where the model labels pixels: how the scores of pixels make that of an image; see
        `skal.acquisition.over_pixels`.
    random_state : int, RandomState or None, default=None
        Seeds the members, and orders ties.

    References
    ----------
    H. S. Seung, M. Opper and H. Sompolinsky, "Query by committee", COLT 1992.
    Ido Dagan and S. Engelson, "Committee-based sampling for training probabilistic classifiers", ICML 1995.
    A. McCallum and K. Nigam, "Employing EM and pool-based active learning for text classification",
    ICML 1998.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skal.strategies import QueryByCommittee
    >>> X, y = load_iris(return_X_y=True)
    >>> committee = [LogisticRegression(max_iter=1000), GaussianNB(), KNeighborsClassifier(1)]
    >>> strategy = QueryByCommittee(committee, random_state=0).fit(X[::10], y[::10])
    >>> strategy.select(X, n=5).shape
    (5,)
    """

    _parameter_constraints = {
        **DrawsStrategy._parameter_constraints,
        "estimator": [*DrawsStrategy._parameter_constraints["estimator"], list],
        "kind": [StrOptions(set(_FUNCTIONS))],
    }

    def __init__(
        self, estimator=None, *, kind="vote_entropy", n_draws=None, pixels="mean", random_state=None
    ):
        super().__init__(estimator, n_draws=n_draws, pixels=pixels, random_state=random_state)
        self.kind = kind

    @property
    def _model(self):
        return _voting(self.estimator) if isinstance(self.estimator, list) else self.estimator

    def _check_model(self, model):
        for member in self.estimator if isinstance(self.estimator, list) else ():
            capabilities.require(self, member)
            if capabilities.labels_pixels(member):
                raise TypeError(
                    f"{self!r} fits a list of classifiers that label rows, and {member!r} labels pixels; "
                    "pass EnsembleClassifier(model) in place of the list."
                )
        super()._check_model(model)

    def _score_draws(self, draws):
        return _FUNCTIONS[self.kind](draws)


def _voting(members):
    if None in members:  # VotingClassifier would fail on it without saying whose it is
        raise TypeError("QueryByCommittee needs an estimator with fit, as an object; its list holds None.")
    named = [(f"{type(member).__name__.lower()}-{i}", member) for i, member in enumerate(members)]
    return VotingClassifier(named, voting="soft")
