"""
Searching strategies and models together
========================================

A learner is an estimator, so which strategy to use, and with which parameters, is a question for
`GridSearchCV`, in one grid with the parameters of the model.
"""

# %%
# The score is the area under the learning curve: how fast a learner learns, not only where it ends.
# A random forest and a pipeline stand in one grid; they swap freely.
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skal import ActiveLearner, learning_curve_auc
from skal.strategies import LeastConfidence, Margin, Random, Subsample

X, y = load_digits(return_X_y=True)
models = [make_pipeline(StandardScaler(), LogisticRegression()), RandomForestClassifier(100)]
learner = ActiveLearner(models[0], n_initial=20, batch_size=10, n_rounds=8, random_state=0)
grid = [
    {"estimator": models, "strategy": [Random(), LeastConfidence(), Margin()]},
    {"estimator": models, "strategy": [Subsample(Margin())], "strategy__size": [50, 200]},
]
search = GridSearchCV(learner, grid, scoring=learning_curve_auc(), cv=3).fit(X, y)
print(search.best_params_)

# %%
# All candidates, with the spread over the three folds. One seed and three folds are a hint; `compare`
# with more seeds makes it evidence.
names = [
    f"{type(p['estimator']).__name__.replace('Pipeline', 'LogisticRegression')}, {p['strategy']}"
    for p in search.cv_results_["params"]
]
figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.barh(
    names, search.cv_results_["mean_test_score"], xerr=search.cv_results_["std_test_score"], color="#4477aa"
)
ax.invert_yaxis()
ax.set(xlabel="area under the learning curve (accuracy), 3 folds", xlim=(0.6, 1))
